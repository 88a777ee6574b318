//! Errors of the database, told apart by what can be done about them.

use sqlx::mysql::MySqlDatabaseError;

/// The system's ENOSPC, as MariaDB hands it on from a storage engine.
const NO_SPACE: &str = "error 28";

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Not reachable, shutting down, or out of connections. For a commit: its outcome is unknown.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// No connection was to be had in time: nothing was asked, so nothing was done, and nobody need look whether it was.
    #[error("database out of reach: {0}")]
    NotAsked(String),
    /// Deadlock or lock time-out: the transaction was rolled back and may be repeated.
    #[error("database deadlock or lock time-out: {0}")]
    Deadlock(String),
    /// No room to write: nothing of the statement was done, and nothing is wrong with it. Reads go on.
    #[error("the database has no room: {0}")]
    Full(String),
    /// A unique key was violated.
    #[error("duplicate value for key {key}")]
    Duplicate { key: String },
    /// Stored data does not read back.
    #[error("{0}")]
    Corrupt(String),
    #[error(transparent)]
    Other(sqlx::Error),
}

impl StorageError {
    pub fn is_duplicate_of(&self, wanted: &str) -> bool {
        matches!(self, Self::Duplicate { key } if key == wanted)
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error.to_string())
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::NotAsked(error.to_string()),
            sqlx::Error::Database(database) => match database.try_downcast_ref::<MySqlDatabaseError>() {
                Some(mysql) => match mysql.number() {
                    // too many connections, shutdown in progress, connection killed, server gone or starting
                    1040 | 1053 | 1077 | 1079 | 1152 | 1158..=1161 | 1203 | 1317 | 1927 => {
                        Self::Unavailable(error.to_string())
                    }
                    // a file that could not be written: where it was a commit's, such as the binary log, nobody knows
                    3 | 20 | 1026 => Self::Unavailable(error.to_string()),
                    // the disk or a table full, no room for what would undo a change: of a statement, never a commit
                    1021 | 1114 | 1637 => Self::Full(error.to_string()),
                    1030 if mysql.message().contains(NO_SPACE) => Self::Full(error.to_string()),
                    1205 | 1213 => Self::Deadlock(error.to_string()),
                    1062 => Self::Duplicate { key: key_of_duplicate(mysql.message()) },
                    _ => Self::Other(error),
                },
                None => Self::Other(error),
            },
            _ => Self::Other(error),
        }
    }
}

/// MariaDB names the violated key only in the message: `Duplicate entry '…' for key 'zones_tenant_name'`.
fn key_of_duplicate(message: &str) -> String {
    message.rsplit("for key ").next().unwrap_or_default().trim_matches('\'').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_asked_is_told_from_what_may_have_been_done() {
        assert!(matches!(StorageError::from(sqlx::Error::PoolTimedOut), StorageError::NotAsked(_)));
        let cut = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(StorageError::from(cut), StorageError::Unavailable(_)));
    }

    #[test]
    fn the_violated_key_is_read_from_the_message() {
        assert_eq!(key_of_duplicate("Duplicate entry 'for key 'x'' for key 'zones_live_name'"), "zones_live_name");
    }
}
