//! What a seal is made of.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::storage::audit_seals::{Link, Seal, Start, Statement};

/// Makes seals with the newest key and knows those of each.
pub struct Chain {
    keys: Vec<SecretString>,
}

impl Chain {
    /// None: there is no key, and nothing is sealed.
    pub fn new(keys: &[SecretString]) -> Option<Self> {
        (!keys.is_empty()).then(|| Self { keys: keys.to_vec() })
    }

    pub fn seal(&self, before: &Link, entry: &Statement) -> Seal {
        sum(&self.keys[0], &octets_of(before, entry))
    }

    /// Whether this is the seal of the entry that follows `before`, under any of the keys.
    pub fn is_seal(&self, before: &Link, entry: &Statement, seal: &Seal) -> bool {
        let octets = octets_of(before, entry);
        self.keys.iter().any(|key| sum(key, &octets) == *seal)
    }

    /// Says that what came before and with this entry was removed by who has the key.
    pub fn mac_of_start(&self, last: &Link) -> Seal {
        sum(&self.keys[0], &octets_of_start(last))
    }

    pub fn is_start(&self, start: &Start) -> bool {
        let octets = octets_of_start(&start.link);
        self.keys.iter().any(|key| sum(key, &octets) == start.mac)
    }
}

/// Place, seal before, and each column with its length, so that nothing can move from one to the next.
fn octets_of(before: &Link, entry: &Statement) -> Vec<u8> {
    let mut octets = b"entry".to_vec();
    octets.extend((before.sequence + 1).to_be_bytes());
    octets.extend(before.seal);
    octets.extend(entry.id.0.as_bytes());
    for column in &entry.columns {
        match column {
            Some(text) => {
                octets.push(1);
                octets.extend((text.len() as u64).to_be_bytes());
                octets.extend(text.as_bytes());
            }
            None => octets.push(0),
        }
    }
    octets
}

fn octets_of_start(last: &Link) -> Vec<u8> {
    [b"start".as_slice(), &last.sequence.to_be_bytes(), &last.seal].concat()
}

fn sum(key: &SecretString, octets: &[u8]) -> Seal {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    mac.update(octets);
    mac.finalize().into_bytes().into()
}

/// A link as people keep it: `1234:9f86…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head(pub Link);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.sequence, hex::encode(self.0.seal))
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || "a head has the form <sequence>:<64 hexadecimal digits>".to_owned();
        let (sequence, seal) = text.trim().split_once(':').ok_or_else(malformed)?;
        let sequence = sequence.parse().map_err(|_| malformed())?;
        let octets = hex::decode(seal).map_err(|_| malformed())?;
        let seal = Seal::try_from(octets.as_slice()).map_err(|_| malformed())?;
        Ok(Self(Link { sequence, seal }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AuditId;

    fn entry(columns: &[Option<&str>]) -> Statement {
        Statement { id: AuditId(uuid::Uuid::nil()), columns: columns.iter().map(|c| c.map(str::to_owned)).collect() }
    }

    #[test]
    fn a_seal_tells_apart_whatever_differs() {
        let chain = Chain::new(&["k".repeat(32).into()]).expect("a key");
        let before = Link { sequence: 7, seal: [1; 32] };
        let seals = [
            chain.seal(&before, &entry(&[Some("ab"), Some("c")])),
            chain.seal(&before, &entry(&[Some("a"), Some("bc")])),
            chain.seal(&before, &entry(&[Some("abc"), None])),
            chain.seal(&before, &entry(&[Some("abc"), Some("")])),
            chain.seal(&Link { sequence: 8, ..before }, &entry(&[Some("ab"), Some("c")])),
            chain.seal(&Link { seal: [2; 32], ..before }, &entry(&[Some("ab"), Some("c")])),
            Chain::new(&["l".repeat(32).into()]).expect("a key").seal(&before, &entry(&[Some("ab"), Some("c")])),
        ];
        let different: std::collections::HashSet<Seal> = seals.into_iter().collect();
        assert_eq!(different.len(), seals.len());
    }

    #[test]
    fn an_older_key_still_verifies() {
        let (old, new) = ("o".repeat(32), "n".repeat(32));
        let before = Link { sequence: 0, seal: [0; 32] };
        let said = entry(&[Some("x")]);
        let seal = Chain::new(&[old.clone().into()]).expect("a key").seal(&before, &said);
        assert!(Chain::new(&[new.clone().into(), old.into()]).expect("keys").is_seal(&before, &said, &seal));
        assert!(!Chain::new(&[new.into()]).expect("a key").is_seal(&before, &said, &seal));
    }

    #[test]
    fn a_head_reads_back() {
        let head = Head(Link { sequence: 42, seal: [0xab; 32] });
        assert_eq!(head.to_string().parse(), Ok(head));
        for wrong in ["", "42", "42:ab", "x:00", ":"] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }
}
