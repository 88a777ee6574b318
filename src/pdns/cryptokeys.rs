//! Keys of a zone and how it denies: PowerDNS's calls for them. All of them may be repeated but the making of a key.
//!
//! *Invariant:* a private key is never asked for. The answer to the making of one has it all the same; it is dropped
//! unread. Keys are read as a list only, since a single one comes with its private half.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::dns::dnssec::plan::{ServerKey, Visible};
use crate::dns::dnssec::{Algorithm, Denial, Dnskey, Role};

use super::client::{Pdns, PdnsError, body, unexpected, zone_path};

/// An RSA key of 2,048 bits takes 0.6 s at worst: a factor of five. A call that is late must have come to its end
/// before anybody else takes the zone over.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// An RSA key takes up to a second of a processor that has nothing else to do, and the web server makes one at a time.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);
/// All rows of 10,000 names are rewritten the first time, which takes up to 3.4 s; what takes longer goes on at the
/// server, and is short when it is asked for again.
const RECTIFY_TIMEOUT: Duration = Duration::from_secs(7);
/// RFC 9276, 3.1: SHA-1, no flags, no iterations, no salt.
const NSEC3_PARAMETERS: &str = "1 0 0 -";

/// A key just made.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub id: u64,
    pub dnskey: Dnskey,
}

/// What is read of a key; everything else in the answer is left out.
#[derive(Deserialize)]
struct KeyBody {
    id: u64,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    published: bool,
    dnskey: String,
}

impl Pdns {
    /// The keys of a zone. None when there is no such zone.
    pub async fn keys(&self, zone: &str) -> Result<Option<Vec<ServerKey>>, PdnsError> {
        let response = self.read(self.request(Method::GET, &path(zone, ""))).await?;
        match response.status() {
            StatusCode::OK => {
                let keys: Vec<KeyBody> = body(response).await?;
                keys.into_iter().map(|key| server_key(&key)).collect::<Result<_, _>>().map(Some)
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(unexpected(response).await),
        }
    }

    /// Makes a key that resolvers do not notice.
    pub async fn create_key(&self, zone: &str, role: Role, algorithm: Algorithm) -> Result<NewKey, PdnsError> {
        let keytype = match role {
            Role::Ksk => "ksk",
            Role::Zsk => "zsk",
        };
        let mut wanted =
            json!({ "keytype": keytype, "algorithm": algorithm.number(), "active": false, "published": false });
        if let Some(bits) = algorithm.key_bits() {
            wanted["bits"] = json!(bits);
        }
        let request = self.request(Method::POST, &path(zone, "")).json(&wanted);
        let response = self.send(request, CREATE_TIMEOUT).await?;
        if response.status() != StatusCode::CREATED {
            return Err(unexpected(response).await);
        }
        let key: KeyBody = body(response).await?;
        Ok(NewKey { id: key.id, dnskey: public(&key)? })
    }

    /// Says what of a key resolvers notice.
    pub async fn set_key(&self, zone: &str, id: u64, visible: Visible) -> Result<(), PdnsError> {
        let Visible { active, published } = visible;
        let wanted = json!({ "active": active, "published": published });
        self.done(self.request(Method::PUT, &path(zone, &format!("/{id}"))).json(&wanted), CALL_TIMEOUT).await
    }

    /// Removes a key for good; one that is gone is gone.
    pub async fn delete_key(&self, zone: &str, id: u64) -> Result<(), PdnsError> {
        let response = self.send(self.request(Method::DELETE, &path(zone, &format!("/{id}"))), CALL_TIMEOUT).await?;
        match response.status() {
            StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(unexpected(response).await),
        }
    }

    /// Sets how a signed zone denies. PowerDNS drops what it remembers of it before its transaction commits, so that a
    /// query in between brings the old back for a minute: said twice, the second drops that.
    pub async fn set_denial(&self, zone: &str, denial: Denial) -> Result<(), PdnsError> {
        let wanted = match denial {
            Denial::Narrow => denial_fields(NSEC3_PARAMETERS, true),
            Denial::Nsec3 => denial_fields(NSEC3_PARAMETERS, false),
            Denial::Nsec => denial_fields("", false),
        };
        self.put_zone(zone, &wanted).await?;
        self.put_zone(zone, &wanted).await
    }

    /// The zone is unsigned: it denies nothing.
    pub async fn clear_denial(&self, zone: &str) -> Result<(), PdnsError> {
        self.put_zone(zone, &denial_fields("", false)).await
    }

    /// Brings names, delegations and empty non-terminals into order.
    pub async fn rectify(&self, zone: &str) -> Result<(), PdnsError> {
        let request = self.request(Method::PUT, &format!("/zones/{}/rectify", zone_path(zone)));
        self.done(request, RECTIFY_TIMEOUT).await
    }

    async fn put_zone(&self, zone: &str, fields: &Value) -> Result<(), PdnsError> {
        self.done(self.request(Method::PUT, &format!("/zones/{}", zone_path(zone))).json(fields), CALL_TIMEOUT).await
    }

    pub(super) async fn done(&self, request: reqwest::RequestBuilder, timeout: Duration) -> Result<(), PdnsError> {
        let response = self.send(request, timeout).await?;
        if response.status().is_success() { Ok(()) } else { Err(unexpected(response).await) }
    }
}

fn path(zone: &str, rest: &str) -> String {
    format!("/zones/{}/cryptokeys{rest}", zone_path(zone))
}

/// `nsec3narrow` counts only beside `nsec3param`.
fn denial_fields(parameters: &str, narrow: bool) -> Value {
    json!({ "nsec3param": parameters, "nsec3narrow": narrow, "api_rectify": false })
}

fn public(key: &KeyBody) -> Result<Dnskey, PdnsError> {
    key.dnskey
        .parse()
        .map_err(|_| PdnsError::Unexpected { status: 200, message: format!("key {} has no public half", key.id) })
}

fn server_key(key: &KeyBody) -> Result<ServerKey, PdnsError> {
    let dnskey = public(key)?;
    let visible = Visible { active: key.active, published: key.published };
    Ok(ServerKey { id: key.id, flags: dnskey.flags, key_tag: dnskey.key_tag(), visible })
}
