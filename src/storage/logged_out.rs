//! Access tokens that were logged out, by hash, until they expire.

use std::fmt;

use time::OffsetDateTime;

use super::revocations::{Revocation, RightsTx};
use super::{Db, Result};

/// Rows that one statement removes.
const SWEPT_PER_STATEMENT: u32 = 1_000;

/// Who is logged out is remembered for this much longer than the token says: the leeway of its expiry, and clocks.
const KEEP_MINUTES: u32 = 5;

/// Names a token without being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 16]);

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::str::FromStr for TokenHash {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let mut hash = [0; 16];
        hex::decode_to_slice(text, &mut hash)?;
        Ok(Self(hash))
    }
}

/// False: it was logged out already.
pub async fn insert(tx: &mut RightsTx, hash: TokenHash, expires_at: OffsetDateTime) -> Result<bool> {
    const QUERY: &str = "INSERT IGNORE INTO logged_out_tokens (hash, expires_at) VALUES (?, ?)";
    let query = sqlx::query(QUERY).bind(hash.0.as_slice()).bind(super::datetime(expires_at));
    let is_new = query.execute(&mut ***tx).await?.rows_affected() > 0;
    if is_new {
        tx.revoke(Revocation::Token(hash));
    }
    Ok(is_new)
}

pub async fn is_there(db: &Db, hash: TokenHash) -> Result<bool> {
    const QUERY: &str = "SELECT 1 FROM logged_out_tokens WHERE hash = ?";
    let found = sqlx::query(QUERY).bind(hash.0.as_slice()).fetch_optional(db.pool()).await?;
    Ok(found.is_some())
}

/// Removes some of those that have expired: nobody takes them anyway.
pub async fn sweep(db: &Db) -> Result<u64> {
    const QUERY: &str = "DELETE FROM logged_out_tokens WHERE expires_at < UTC_TIMESTAMP(6) - INTERVAL ? MINUTE LIMIT ?";
    let done = sqlx::query(QUERY).bind(KEEP_MINUTES).bind(SWEPT_PER_STATEMENT).execute(db.pool()).await?;
    Ok(done.rows_affected())
}

#[cfg(all(test, feature = "dev"))]
mod tests {
    use time::Duration;

    use super::*;
    use crate::storage::{revocations, testing};

    #[tokio::test]
    async fn a_logged_out_token_is_remembered_until_it_has_expired() {
        let db = testing::database().await;
        let (spent, good) = (TokenHash([1; 16]), TokenHash([2; 16]));
        let now = OffsetDateTime::now_utc();
        let mut tx = revocations::begin(&db).await.expect("begin");
        assert!(insert(&mut tx, spent, now - Duration::hours(1)).await.expect("insert"));
        assert!(insert(&mut tx, good, now + Duration::hours(1)).await.expect("insert"));
        assert!(!insert(&mut tx, good, now).await.expect("insert"), "once");
        let revoked = tx.commit().await.expect("commit");
        assert_eq!(revoked.0, [Revocation::Token(spent), Revocation::Token(good)]);
        assert_eq!(sweep(&db).await.expect("sweep"), 1);
        assert!(is_there(&db, good).await.expect("look") && !is_there(&db, spent).await.expect("look"));
    }
}
