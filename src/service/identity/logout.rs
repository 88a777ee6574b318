//! The end of an access token before its time. It is kept by hash until it would have ended anyway, and refused on
//! every replica by the way all rights end.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::storage;
use crate::storage::audit::AuditEntry;
use crate::storage::logged_out::{self, TokenHash};
use crate::storage::revocations;

use super::super::{Error, Result};
use super::Inner;
use super::cache::Unspent;

/// Refuses a token that was logged out.
pub(super) async fn check(identity: &Inner, token: &str) -> Result<()> {
    let hash = hash_of(token);
    let look = async {
        let spent = logged_out::is_there(&identity.db, hash).await?;
        Ok((!spent).then_some((hash, Unspent(hash))))
    };
    match identity.unspent.find(&[hash], |_| true, look).await? {
        Some(_) => Ok(()),
        None => Err(Error::Unauthenticated("Token was logged out".into())),
    }
}

pub(super) async fn end(identity: &Inner, token: &SecretString, entry: AuditEntry) -> Result<()> {
    let token = token.expose_secret();
    let expires_at = identity.scaikey.verify(token).await?.expires_at;
    let ended = storage::within(async {
        let mut tx = revocations::begin(&identity.db).await?;
        if logged_out::insert(&mut tx, hash_of(token), expires_at).await? {
            storage::audit::append(&mut tx, None, &[entry]).await?;
        }
        tx.commit().await
    })
    .await?;
    identity.watch.revoke(&ended);
    Ok(())
}

/// Of what the signature covers, without the signature: there may be several that are good for one token (ECDSA).
fn hash_of(token: &str) -> TokenHash {
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(signed.as_bytes())[..16]);
    TokenHash(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_signature_does_not_make_another_token() {
        assert_eq!(hash_of("head.claims.one"), hash_of("head.claims.two"));
        assert_ne!(hash_of("head.claims.one"), hash_of("head.other.one"));
    }
}
