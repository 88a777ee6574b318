//! What the platform's admin has decided for the whole installation, a row a setting; what a value means is nothing to
//! know here.

use serde_json::Value;
use sqlx::mysql::MySqlRow;
use sqlx::types::Json;
use sqlx::{FromRow, MySql, Row, Transaction};
use time::OffsetDateTime;

use super::{Db, Result};

const COLUMNS: &str = "name, value, version, updated_at, updated_by";

/// A setting that somebody has changed at least once.
#[derive(Clone, Debug)]
pub struct SettingRow {
    pub name: String,
    /// Null: as the environment says.
    pub value: Value,
    /// How often it was changed.
    pub version: u32,
    pub updated_at: Option<OffsetDateTime>,
    pub updated_by: Option<String>,
}

impl FromRow<'_, MySqlRow> for SettingRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            value: row.try_get::<Json<Value>, _>("value")?.0,
            version: row.try_get("version")?,
            updated_at: row.try_get("updated_at")?,
            updated_by: row.try_get("updated_by")?,
        })
    }
}

/// There are a few dozen at most.
pub async fn all(db: &Db) -> Result<Vec<SettingRow>> {
    let sql = format!("SELECT {COLUMNS} FROM platform_settings");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(db.pool()).await?)
}

/// Locks a setting until the transaction ends, one that was never changed as well.
pub async fn lock(tx: &mut Transaction<'_, MySql>, name: &str) -> Result<SettingRow> {
    sqlx::query("INSERT IGNORE INTO platform_settings (name, value) VALUES (?, 'null')")
        .bind(name)
        .execute(&mut **tx)
        .await?;
    let sql = format!("SELECT {COLUMNS} FROM platform_settings WHERE name = ? FOR UPDATE");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(name).fetch_one(&mut **tx).await?)
}

/// Another value for a setting that is [`lock`]ed; as it is then.
pub async fn put(
    tx: &mut Transaction<'_, MySql>,
    row: SettingRow,
    value: Value,
    by: &str,
    now: OffsetDateTime,
) -> Result<SettingRow> {
    let row = SettingRow {
        value,
        version: row.version + 1,
        updated_at: Some(now),
        updated_by: Some(by.to_owned()),
        name: row.name,
    };
    sqlx::query("UPDATE platform_settings SET value = ?, version = ?, updated_at = ?, updated_by = ? WHERE name = ?")
        .bind(row.value.to_string())
        .bind(row.version)
        .bind(super::datetime(now))
        .bind(by)
        .bind(&row.name)
        .execute(&mut **tx)
        .await?;
    Ok(row)
}

#[cfg(all(test, feature = "dev"))]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::testing;

    #[tokio::test]
    async fn of_two_who_change_a_setting_for_the_first_time_the_second_sees_what_the_first_has_made_of_it() {
        let db = testing::database().await;
        let append = async |word: &'static str| {
            let mut tx = db.begin().await.expect("begin");
            let row = lock(&mut tx, "words").await.expect("locked");
            let mut words: Vec<String> = serde_json::from_value(row.value.clone()).unwrap_or_default();
            words.push(word.to_owned());
            put(&mut tx, row, json!(words), "u_1", OffsetDateTime::now_utc()).await.expect("put");
            tx.commit().await.expect("commit");
        };
        tokio::join!(append("one"), append("two"));
        let rows = all(&db).await.expect("read");
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.version, row.value.as_array().map(Vec::len)), (2, Some(2)), "{row:?}");
        assert_eq!(row.updated_by.as_deref(), Some("u_1"));
    }
}
