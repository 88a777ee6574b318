//! Configuration from the environment: read once, all problems reported at once. Every variable is documented
//! at its field. Nothing else in the program reads the environment.

mod reader;

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use reader::Reader;
pub use reader::{ConfigProblem, ConfigProblems, duration};

/// The highest rate limit: beyond it the time between two requests is no longer told apart.
pub const RATE_MAX: u32 = 10_000_000;
/// In production a deletion can be taken back for so long at least: a number without its unit must not remove what
/// somebody deleted by mistake a minute ago.
pub const PURGE_AFTER_LEAST: Duration = Duration::from_secs(86_400);

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// `ENVIRONMENT`: production (default), staging or development.
    pub environment: Environment,
    /// `BIND_ADDRESS`, default `127.0.0.1:8000`.
    pub bind_address: SocketAddr,
    /// `EXTERNAL_URL`: what clients call this installation, without a trailing slash.
    pub external_url: String,
    pub database: DatabaseConfig,
    pub redis: RedisConfig,
    pub pdns: PdnsConfig,
    pub scaikey: ScaiKeyConfig,
    pub secrets: Secrets,
    pub validation: ValidationConfig,
    pub dnssec: DnssecConfig,
    /// `NAMESERVERS`: the platform's nameservers, comma separated; at least one name.
    pub nameservers: Vec<String>,
    /// `TRUSTED_PROXIES`: CIDRs whose `X-Forwarded-For` is believed, read from the right.
    pub trusted_proxies: Vec<IpNet>,
    /// `ALLOW_PRIVATE_TARGETS`: CIDRs beyond the globally reachable addresses that tenants may name as masters and
    /// secondaries.
    pub allow_private_targets: Vec<IpNet>,
    /// `CORS_ORIGINS`: origins of browsers that may call the API; `*` is any.
    pub cors_origins: Vec<String>,
    pub log: LogConfig,
    pub rate_limits: RateLimitConfig,
    /// `DOMAIN_PURGE_AFTER`, default `30d`: how long a deleted domain can be restored. In production at least a day.
    pub purge_after: Duration,
    pub metrics: MetricsConfig,
    /// `AUDIT_RETENTION_DAYS`: how long entries of the audit log are kept; for ever where it is not set.
    pub audit_retention_days: Option<u32>,
    /// `WORKER_MAX_JOBS`, default 10; `ARQ_MAX_JOBS` is taken too.
    pub worker_max_jobs: u32,
    pub http: HttpConfig,
}

/// What one replica takes upon itself.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `HTTP_MAX_CONNECTIONS`, default 900, below the 1,024 files that a process may open where nobody says otherwise:
    /// who comes beyond them is told 503.
    pub max_connections: usize,
    /// `HTTP_MAX_CONNECTIONS_PER_ADDRESS`, default a quarter of them: what one address holds at most, or one /64 of
    /// IPv6. `TRUSTED_PROXIES` are not counted.
    pub max_connections_per_address: usize,
    /// `HTTP_HEADER_TIMEOUT` in seconds, default 75: until the head of a request is there, and until a connection that
    /// asks nothing is closed. Longer than a proxy in front keeps its own, usually 60.
    pub header_timeout: Duration,
    /// `HTTP_DEADLINE` in seconds, default 60: what has no answer by then gets 503 or 504.
    pub deadline: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Production,
    Staging,
    Development,
}

#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`: `mysql://user:password@host/database`; `mysql+asyncmy://` is taken too.
    pub url: SecretString,
    /// `DATABASE_POOL_SIZE`, default 20.
    pub pool_size: u32,
}

#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `REDIS_URL`.
    pub url: SecretString,
}

#[derive(Clone, Debug)]
pub struct PdnsConfig {
    /// `PDNS_API_URL`, without `/api/v1`, which is taken off where it stands.
    pub api_url: String,
    /// `PDNS_API_KEY`.
    pub api_key: SecretString,
    /// `PDNS_DNS_ADDRESS`: `host[:port]` at which PowerDNS answers DNS, port 53 by default. With it, whether a zone has
    /// changed since it was last read is asked by an SOA query rather than by the API.
    pub dns_address: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ScaiKeyConfig {
    /// `SCAIKEY_URL`, without a trailing slash.
    pub url: String,
    /// `SCAIKEY_CLIENT_ID`.
    pub client_id: String,
    /// `SCAIKEY_CLIENT_SECRET`.
    pub client_secret: SecretString,
    /// `SCAIKEY_APPLICATION_ID`.
    pub application_id: String,
    /// `SCAIKEY_JWKS_CACHE_TTL` in seconds, default 3600.
    pub jwks_cache_ttl: Duration,
    /// `SCAIKEY_TOKEN_CACHE_TTL` in seconds, default 60, 0 for never: how long the signature of an access token that was
    /// found good is not computed again. Its times, its user and whether it was logged out are looked at each time.
    pub token_cache_ttl: Duration,
}

#[derive(Clone, Debug)]
pub struct Secrets {
    /// `API_KEY_PEPPER`: comma separated, newest first, each at least 32 bytes.
    pub api_key_peppers: Vec<SecretString>,
    /// `SESSION_SECRET`: at least 32 bytes; for what replicas will sign for each other.
    pub session_secret: SecretString,
    /// `SCAIKEY_WEBHOOK_SECRET`: comma separated.
    pub webhook_secrets: Vec<SecretString>,
    /// `AUDIT_SEAL_KEY`: comma separated, newest first, each at least 32 bytes. Without any the audit log is not sealed.
    pub audit_seal_keys: Vec<SecretString>,
}

#[derive(Clone, Debug)]
pub struct ValidationConfig {
    /// `VALIDATION_RESOLVERS`: comma separated `address[:port]`.
    pub resolvers: Vec<SocketAddr>,
    /// `VALIDATION_AUTHORITATIVE_PORT`, default 53.
    pub authoritative_port: u16,
    /// `VALIDATION_ALLOW_PRIVATE_NAMESERVERS`, default false; refused in production.
    pub allow_private_nameservers: bool,
    /// `VALIDATION_CHALLENGE_TTL`: the TTL suggested for the TXT record, default 3600.
    pub challenge_ttl: u32,
    /// `VALIDATION_NAMESERVERS_TYPE`, default false: whether a delegation that names the claim is a proof, too.
    pub nameservers_type: bool,
    /// `VALIDATION_EXPIRY_HOURS`, default 72.
    pub expiry: Duration,
}

#[derive(Clone, Debug)]
pub struct DnssecConfig {
    /// `DNSSEC_SERVERS`: `address[:port]`, comma separated: every server that answers for the zones. Each is asked whether
    /// it serves a step before the step's wait begins. Default: `PDNS_DNS_ADDRESS`.
    pub servers: Vec<String>,
    /// `DNSSEC_PROPAGATION_DELAY` in seconds: how long those servers may give old answers after a change. Default: what
    /// PowerDNS's own cache settings add up to.
    pub propagation: Option<Duration>,
    /// `DNSSEC_MARGIN` in seconds, default 10: on top of each wait for the parent.
    pub margin: Duration,
    /// `DNSSEC_ZSK_LIFETIME_DAYS`, default 30; 0: ZSKs are rolled when asked for.
    pub zsk_lifetime: Option<Duration>,
    /// `DNSSEC_KSK_LIFETIME_DAYS`, default 365; 0: KSKs are rolled when asked for. A rollover waits for the new DS at the
    /// parent, however long that takes.
    pub ksk_lifetime: Option<Duration>,
    /// `DNSSEC_OVERLAP_DAYS`, default 7: how long a replaced ZSK stays published, if caches do not need it longer.
    pub overlap: Duration,
    /// `DNSSEC_POLL_SECONDS`, default 300: between two looks at a parent whose DS is waited for.
    pub poll: Duration,
    /// `DNSSEC_DS_DEADLINE_DAYS`, default 14: a DS that is waited for longer is worth an alarm.
    pub ds_deadline: Duration,
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `LOG_LEVEL`, default `info`: a level, or a filter of targets.
    pub level: String,
    /// `LOG_FORMAT`: text (default) or json.
    pub json: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct MetricsConfig {
    /// `METRICS_ENABLED`, default false.
    pub enabled: bool,
    /// `METRICS_BIND_ADDRESS`, default `127.0.0.1:9090`.
    pub bind_address: SocketAddr,
}

/// Requests a minute, with as many at once.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitConfig {
    /// `RATE_LIMIT_PER_MINUTE`, default 6,000: for each key or user. A key's own limit only lowers it.
    pub per_minute: u32,
    /// `RATE_LIMIT_TENANT_PER_MINUTE`, default 60,000: for each tenant whose settings do not say otherwise.
    pub tenant_per_minute: u32,
    /// `RATE_LIMIT_ANONYMOUS_PER_MINUTE`, default 300: for each address from which nobody known calls.
    pub anonymous_per_minute: u32,
}

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, ConfigProblems> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads through `lookup`; every variable may also be given as `NAME_FILE`.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigProblems> {
        let mut reader = Reader::new(&lookup);
        let r = &mut reader;
        let environment = r.choice(
            "ENVIRONMENT",
            &[
                ("production", Environment::Production),
                ("staging", Environment::Staging),
                ("development", Environment::Development),
            ],
            Environment::Production,
        );
        let arq_max_jobs = r.bounded("ARQ_MAX_JOBS", 10, 1, 1_000);
        let worker_max_jobs = r.bounded("WORKER_MAX_JOBS", arq_max_jobs, 1, 1_000);
        let max_connections: usize = r.bounded("HTTP_MAX_CONNECTIONS", 900, 1, 1_000_000);
        let quarter = max_connections.div_ceil(4);
        // one connection carries all that is asked of Redis; what the variable says is checked, and enough
        let _: u32 = r.bounded("REDIS_MAX_CONNECTIONS", 20, 1, 100_000);
        let config = Self {
            environment,
            bind_address: r.parsed("BIND_ADDRESS", "127.0.0.1:8000"),
            external_url: r.http_url("EXTERNAL_URL"),
            database: DatabaseConfig {
                url: r.database_url("DATABASE_URL"),
                pool_size: r.bounded("DATABASE_POOL_SIZE", 20, 1, 1_000),
            },
            redis: RedisConfig { url: r.redis_url("REDIS_URL") },
            pdns: PdnsConfig {
                api_url: without_api_path(r.http_url("PDNS_API_URL")),
                api_key: r.required_secret("PDNS_API_KEY"),
                dns_address: r.host_and_port("PDNS_DNS_ADDRESS", 53),
            },
            scaikey: ScaiKeyConfig {
                url: r.http_url("SCAIKEY_URL"),
                client_id: r.required("SCAIKEY_CLIENT_ID"),
                client_secret: r.required_secret("SCAIKEY_CLIENT_SECRET"),
                application_id: r.required("SCAIKEY_APPLICATION_ID"),
                jwks_cache_ttl: Duration::from_secs(r.bounded("SCAIKEY_JWKS_CACHE_TTL", 3_600, 1, 86_400)),
                token_cache_ttl: Duration::from_secs(r.bounded("SCAIKEY_TOKEN_CACHE_TTL", 60, 0, 3_600)),
            },
            secrets: Secrets {
                api_key_peppers: r.secrets("API_KEY_PEPPER", 32),
                session_secret: r.long_secret("SESSION_SECRET", 32),
                webhook_secrets: r.secrets("SCAIKEY_WEBHOOK_SECRET", 1),
                audit_seal_keys: r.optional_secrets("AUDIT_SEAL_KEY", 32),
            },
            validation: ValidationConfig {
                resolvers: r.socket_addresses("VALIDATION_RESOLVERS", "1.1.1.1,8.8.8.8,9.9.9.9", 53),
                authoritative_port: r.bounded("VALIDATION_AUTHORITATIVE_PORT", 53, 1, 65_535),
                allow_private_nameservers: r.boolean("VALIDATION_ALLOW_PRIVATE_NAMESERVERS", false),
                nameservers_type: r.boolean("VALIDATION_NAMESERVERS_TYPE", false),
                challenge_ttl: r.bounded("VALIDATION_CHALLENGE_TTL", 3_600, 1, 604_800),
                expiry: Duration::from_secs(3_600 * r.bounded::<u64>("VALIDATION_EXPIRY_HOURS", 72, 1, 8_760)),
            },
            dnssec: dnssec(r),
            nameservers: r.host_names("NAMESERVERS"),
            purge_after: r.duration("DOMAIN_PURGE_AFTER", "30d"),
            trusted_proxies: r.networks("TRUSTED_PROXIES"),
            allow_private_targets: r.networks("ALLOW_PRIVATE_TARGETS"),
            cors_origins: r.origins("CORS_ORIGINS"),
            log: LogConfig {
                level: r.log_level("LOG_LEVEL"),
                json: r.choice("LOG_FORMAT", &[("text", false), ("json", true)], false),
            },
            metrics: MetricsConfig {
                enabled: r.boolean("METRICS_ENABLED", false),
                bind_address: r.parsed("METRICS_BIND_ADDRESS", "127.0.0.1:9090"),
            },
            audit_retention_days: Some(r.bounded("AUDIT_RETENTION_DAYS", 0, 0, 36_500)).filter(|days| *days > 0),
            rate_limits: RateLimitConfig {
                per_minute: r.bounded("RATE_LIMIT_PER_MINUTE", 6_000, 1, RATE_MAX),
                tenant_per_minute: r.bounded("RATE_LIMIT_TENANT_PER_MINUTE", 60_000, 1, RATE_MAX),
                anonymous_per_minute: r.bounded("RATE_LIMIT_ANONYMOUS_PER_MINUTE", 300, 1, RATE_MAX),
            },
            worker_max_jobs,
            http: HttpConfig {
                max_connections,
                max_connections_per_address: r.bounded("HTTP_MAX_CONNECTIONS_PER_ADDRESS", quarter, 1, 1_000_000),
                header_timeout: Duration::from_secs(r.bounded("HTTP_HEADER_TIMEOUT", 75, 1, 3_600)),
                deadline: Duration::from_secs(r.bounded("HTTP_DEADLINE", 60, 1, 3_600)),
            },
        };
        if config.environment == Environment::Production && config.validation.allow_private_nameservers {
            reader.problem("VALIDATION_ALLOW_PRIVATE_NAMESERVERS", "must not be set in production");
        }
        if config.environment == Environment::Production && config.purge_after < PURGE_AFTER_LEAST {
            reader.problem("DOMAIN_PURGE_AFTER", "must be at least a day in production; 30d are thirty days");
        }
        reader.finish(config)
    }
}

/// Where PowerDNS is, as some write it with the path that is the same everywhere.
fn without_api_path(url: String) -> String {
    url.strip_suffix("/api/v1").map_or(url.clone(), |base| base.trim_end_matches('/').to_owned())
}

fn dnssec(r: &mut Reader<'_>) -> DnssecConfig {
    const DAY: u64 = 86_400;
    let days = |r: &mut Reader<'_>, name: &str, default: u64| {
        let days = r.bounded(name, default, 0, 3_650);
        (days > 0).then(|| Duration::from_secs(DAY * days))
    };
    let propagation = r.bounded::<i64>("DNSSEC_PROPAGATION_DELAY", -1, 0, 86_400);
    let servers = match r.socket_addresses("DNSSEC_SERVERS", "", 53) {
        addresses if addresses.is_empty() => r.host_and_port("PDNS_DNS_ADDRESS", 53).into_iter().collect(),
        addresses => addresses.iter().map(ToString::to_string).collect(),
    };
    DnssecConfig {
        servers,
        propagation: u64::try_from(propagation).ok().map(Duration::from_secs),
        margin: Duration::from_secs(r.bounded("DNSSEC_MARGIN", 10, 0, 86_400)),
        zsk_lifetime: days(r, "DNSSEC_ZSK_LIFETIME_DAYS", 30),
        ksk_lifetime: days(r, "DNSSEC_KSK_LIFETIME_DAYS", 365),
        overlap: days(r, "DNSSEC_OVERLAP_DAYS", 7).unwrap_or_default(),
        poll: Duration::from_secs(r.bounded("DNSSEC_POLL_SECONDS", 300, 1, 86_400)),
        ds_deadline: Duration::from_secs(DAY * r.bounded::<u64>("DNSSEC_DS_DEADLINE_DAYS", 14, 1, 365)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn complete() -> HashMap<&'static str, &'static str> {
        HashMap::from([
            ("DATABASE_URL", "mysql+asyncmy://u:p@localhost/db"),
            ("REDIS_URL", "redis://localhost"),
            ("PDNS_API_URL", "http://localhost:8081/"),
            ("PDNS_API_KEY", "k"),
            ("SCAIKEY_URL", "https://id.example"),
            ("SCAIKEY_CLIENT_ID", "c"),
            ("SCAIKEY_CLIENT_SECRET", "s"),
            ("SCAIKEY_APPLICATION_ID", "app_1"),
            ("SCAIKEY_WEBHOOK_SECRET", "one,two"),
            ("EXTERNAL_URL", "https://dns.example"),
            ("SESSION_SECRET", "0123456789abcdef0123456789abcdef"),
            ("API_KEY_PEPPER", "0123456789abcdef0123456789abcdef"),
            ("NAMESERVERS", "ns1.dns.example,ns2.dns.example."),
        ])
    }

    fn read(environment: &HashMap<&'static str, &'static str>) -> Result<Config, ConfigProblems> {
        Config::from_lookup(|name| environment.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn a_complete_environment_is_read() {
        let config = read(&complete()).expect("complete");
        assert_eq!(config.nameservers, ["ns1.dns.example", "ns2.dns.example"]);
        assert_eq!(config.pdns.api_url, "http://localhost:8081");
        assert_eq!(config.secrets.webhook_secrets.len(), 2);
        assert_eq!(config.validation.resolvers[0], "1.1.1.1:53".parse().expect("address"));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let mut environment = complete();
        environment.remove("DATABASE_URL");
        environment.insert("SESSION_SECRET", "short");
        environment.insert("BIND_ADDRESS", "nowhere");
        environment.insert("VALIDATION_ALLOW_PRIVATE_NAMESERVERS", "true");
        let problems = read(&environment).expect_err("four problems");
        let names: Vec<&str> = problems.0.iter().map(|p| p.variable.as_str()).collect();
        for name in ["DATABASE_URL", "SESSION_SECRET", "BIND_ADDRESS", "VALIDATION_ALLOW_PRIVATE_NAMESERVERS"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn what_would_fail_later_is_reported_at_once_and_no_password_with_it() {
        for (name, value) in [
            ("API_KEY_PEPPER", ","),
            ("SCAIKEY_WEBHOOK_SECRET", " , ,"),
            ("AUDIT_SEAL_KEY", ","),
            ("VALIDATION_RESOLVERS", ","),
            ("REDIS_MAX_CONNECTIONS", "many"),
            ("REDIS_MAX_CONNECTIONS", "0"),
            ("REDIS_URL", "redis://:hunter2@h/notadb"),
            ("REDIS_URL", "http://:hunter2@h/"),
            ("DATABASE_URL", "mysql://u:hunter2@localhost/db?ssl-mode=perhaps"),
            ("DATABASE_URL", "postgres://u:hunter2@localhost/db"),
            ("EXTERNAL_URL", "htps://u:hunter2@dns.example"),
            ("PDNS_API_URL", "u:hunter2@localhost:8081"),
            ("SCAIKEY_URL", "//u:hunter2@id.example"),
        ] {
            let mut environment = complete();
            environment.insert(name, value);
            let problems = read(&environment).err().unwrap_or_else(|| panic!("{name}={value} is taken"));
            let names: Vec<&str> = problems.0.iter().map(|problem| problem.variable.as_str()).collect();
            assert_eq!(names, [name], "{value}");
            assert!(!problems.to_string().contains("hunter2"), "{problems}");
        }
    }

    #[test]
    fn what_is_meant_is_taken() {
        let mut environment = complete();
        environment.extend([
            ("PDNS_API_URL", "http://localhost:8081/api/v1/"),
            ("CORS_ORIGINS", "*"),
            ("REDIS_MAX_CONNECTIONS", "50"),
            ("REDIS_URL", "redis://:secret@localhost:6379/3"),
        ]);
        let config = read(&environment).expect("complete");
        assert_eq!(config.pdns.api_url, "http://localhost:8081");
        assert_eq!(config.cors_origins, ["*"]);
    }

    #[test]
    fn a_log_level_is_one_or_a_filter() {
        let level = |text: &'static str| {
            let mut environment = complete();
            environment.insert("LOG_LEVEL", text);
            read(&environment).map(|config| config.log.level).ok()
        };
        for (text, is) in [
            ("", "info"),
            ("DEBUG", "debug"),
            ("Warning", "warn"),
            ("CRITICAL", "error"),
            ("fatal", "error"),
            ("info,sqlx=debug", "info,sqlx=debug"),
            ("WARNING, scaidns::http=trace", "warn,scaidns::http=trace"),
            ("scaidns=debug", "scaidns=debug"),
        ] {
            assert_eq!(level(text).as_deref(), Some(is), "{text}");
        }
        for text in ["verbose", "3", "off", "info,sqlx", "scaidns=loud", ","] {
            assert_eq!(level(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        let after = |text: &'static str| {
            let mut environment = complete();
            environment.insert("ENVIRONMENT", "staging");
            environment.insert("DOMAIN_PURGE_AFTER", text);
            read(&environment).map(|config| config.purge_after.as_secs()).ok()
        };
        for (text, seconds) in [("30d", 2_592_000), ("12h", 43_200), ("15m", 900), ("90s", 90), ("5", 5)] {
            assert_eq!(after(text), Some(seconds), "{text}");
        }
        for text in ["0", "d", "1y", "-1d", "1.5h", "99999999999d"] {
            assert_eq!(after(text), None, "{text}");
        }
        let mut environment = complete();
        assert_eq!(read(&environment).expect("complete").purge_after.as_secs(), 2_592_000);
        environment.insert("DOMAIN_PURGE_AFTER", "30");
        assert!(read(&environment).is_err(), "thirty seconds in production");
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "from-file\n").expect("write");
        let path = file.path().to_string_lossy().into_owned();
        let mut environment = complete();
        environment.remove("PDNS_API_KEY");
        let config = Config::from_lookup(|name| match name {
            "PDNS_API_KEY_FILE" => Some(path.clone()),
            _ => environment.get(name).map(|value| (*value).to_owned()),
        })
        .expect("complete");
        assert_eq!(secrecy::ExposeSecret::expose_secret(&config.pdns.api_key), "from-file");
    }
}
