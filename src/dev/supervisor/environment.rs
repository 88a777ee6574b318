//! `.dev/env`: where everything is and how to be let in, as plain `KEY=value` for a shell, a test or an editor.

use std::path::Path;
use std::time::Duration;

use crate::dev::registrar::Registrar;
use crate::dev::scaikey::{APPLICATION_ID, CLIENT_ID, ScaiKey, directory};
use crate::dev::servers::Connection;
use crate::dev::{DevError, files};

/// How long the tokens in the file live; each start writes new ones.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// The platform's nameservers; the registrar knows where they are.
const NAMESERVERS: &str = "ns1.scaidns-dev.test,ns2.scaidns-dev.test";
const KEY: &str = "SCAIDNS_API_KEY";

/// The variables, in the order they are written.
#[derive(Clone)]
pub struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    pub(super) fn build(
        data: &Path,
        connection: &Connection,
        api_replicas: u16,
        scaikey: &ScaiKey,
        registrar: &Registrar,
    ) -> Result<Self, DevError> {
        let Connection { ports, secrets } = connection;
        let urls: Vec<String> = (0..api_replicas).map(|n| format!("http://127.0.0.1:{}", ports.api(n))).collect();
        let metrics = (0..api_replicas).map(|n| ports.api_metrics(n)).chain([ports.worker_metrics()]);
        let metrics: Vec<String> = metrics.map(|port| format!("http://127.0.0.1:{port}/metrics")).collect();
        let token = |user| scaikey.access_token(user, TOKEN_LIFETIME);
        let resolver = registrar.resolver_address().to_string();
        let variables = [
            ("SCAIDNS_URL", urls[0].clone()),
            ("SCAIDNS_URLS", urls.join(",")),
            (KEY, String::new()),
            ("SCAIDNS_ADMIN_TOKEN", token(directory::NORTHWIND_ADMIN)?),
            ("SCAIDNS_PLATFORM_TOKEN", token(directory::SUPER_ADMIN)?),
            ("SCAIDNS_OTHER_ADMIN_TOKEN", token(directory::FABRIKAM_ADMIN)?),
            ("DATABASE_URL", connection.database_url()),
            ("PDNS_DATABASE_URL", connection.pdns_database_url()),
            ("REDIS_URL", connection.redis_url()),
            ("PDNS_API_URL", connection.pdns_api_url()),
            ("PDNS_API_KEY", secrets.pdns_api_key.clone()),
            ("PDNS_DNS_ADDRESS", connection.dns_address()),
            ("SCAIKEY_URL", scaikey.url().to_owned()),
            ("SCAIKEY_CLIENT_ID", CLIENT_ID.to_owned()),
            ("SCAIKEY_CLIENT_SECRET", secrets.scaikey_client_secret.clone()),
            ("SCAIKEY_APPLICATION_ID", APPLICATION_ID.to_owned()),
            ("SCAIKEY_WEBHOOK_SECRET", secrets.scaikey_webhook_secret.clone()),
            ("REGISTRAR_DNS_ADDRESS", resolver.clone()),
            ("REGISTRAR_API_URL", registrar.api_url()),
            ("VALIDATION_RESOLVERS", resolver),
            ("VALIDATION_AUTHORITATIVE_PORT", ports.dns().to_string()),
            ("VALIDATION_ALLOW_PRIVATE_NAMESERVERS", "true".to_owned()),
            ("ALLOW_PRIVATE_TARGETS", "127.0.0.0/8".to_owned()),
            ("API_KEY_PEPPER", secrets.api_key_pepper.clone()),
            ("SESSION_SECRET", secrets.session_secret.clone()),
            ("AUDIT_SEAL_KEY", secrets.audit_seal_key.clone()),
            ("EXTERNAL_URL", urls[0].clone()),
            ("NAMESERVERS", NAMESERVERS.to_owned()),
            ("ENVIRONMENT", "development".to_owned()),
            ("METRICS_ENABLED", "true".to_owned()),
            // of the replicas, then of the worker
            ("METRICS_URLS", metrics.join(",")),
            // one key does the work of many clients here: loads and test suites are not to be held up
            ("RATE_LIMIT_PER_MINUTE", "1000000".to_owned()),
            ("RATE_LIMIT_TENANT_PER_MINUTE", "1000000".to_owned()),
            ("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "1000000".to_owned()),
            // one server, whose caches each closing PATCH drops
            ("DNSSEC_PROPAGATION_DELAY", "2".to_owned()),
            ("DNSSEC_MARGIN", "1".to_owned()),
            ("DNSSEC_OVERLAP_DAYS", "0".to_owned()),
            ("DNSSEC_POLL_SECONDS", "2".to_owned()),
            ("SCAIDNS_DEV_DATA", data.display().to_string()),
        ];
        Ok(Self { variables: variables.map(|(name, value)| (name.to_owned(), value)).to_vec() })
    }

    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// A variable's value; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.variables.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(super) fn key(&self) -> &str {
        self.get(KEY)
    }

    pub(super) fn set_key(&mut self, key: String) {
        if let Some((_, value)) = self.variables.iter_mut().find(|(name, _)| name == KEY) {
            *value = key;
        }
    }

    /// The API key of the start before.
    pub(super) fn take_over_key(&mut self, data: &Path) -> Result<(), DevError> {
        let before = files::read_if_there(&data.join("env"))?.unwrap_or_default();
        if let Some(key) = before.lines().find_map(|line| line.strip_prefix(&format!("{KEY}="))) {
            self.set_key(key.to_owned());
        }
        Ok(())
    }

    pub(super) fn write(&self, data: &Path) -> Result<(), DevError> {
        let lines = self.variables.iter().map(|(name, value)| format!("{name}={value}\n"));
        files::write_private(&data.join("env"), lines.collect::<String>())
    }

    /// What a newcomer wants to see.
    pub(super) fn summary(&self) -> String {
        let (url, key, registrar) = (self.get("SCAIDNS_URL"), self.key(), self.get("REGISTRAR_API_URL"));
        let data = self.get("SCAIDNS_DEV_DATA");
        format!(
            "\nScaiDNS is at {url}\n\
             API key of alice@northwind.test, tenant admin of Northwind: {key}\n\
             Everything else is in {data}/env, logs are in {data}/log.\n\n\
             Try:\n  \
             curl -s {url}/api/v1/me/ -H 'X-API-Key: {key}'\n  \
             curl -s -X PUT {registrar}/names/example.test\n  \
             curl -s {url}/api/v1/domains/ -H 'X-API-Key: {key}' -H 'Content-Type: application/json' \
             -d '{{\"name\": \"example.test\", \"domain_type\": \"primary\"}}'\n"
        )
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}
