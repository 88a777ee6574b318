//! A database of a test's own, on the server that `SCAIDNS_TEST_DATABASE_URL` names.

use std::str::FromStr;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

use super::Db;

const VARIABLE: &str = "SCAIDNS_TEST_DATABASE_URL";

/// A fresh schema with every migration applied. It is left behind: the server is a test run's own.
pub async fn database() -> Db {
    let options = MySqlConnectOptions::from_str(&database_url().await).expect("a mysql:// URL");
    Db::from_pool(MySqlPoolOptions::new().max_connections(5).connect_lazy_with(options))
}

/// The same, as the `DATABASE_URL` of a whole program.
pub async fn database_url() -> String {
    let server = std::env::var(VARIABLE)
        .unwrap_or_else(|_| panic!("{VARIABLE} is not set: give the URL of a MariaDB where schemas may be created"));
    let options = MySqlConnectOptions::from_str(&server).expect("SCAIDNS_TEST_DATABASE_URL is a mysql:// URL");
    let name = format!("scaidns_test_{}", uuid::Uuid::now_v7().simple());
    let mut connection = MySqlConnection::connect_with(&options).await.expect("MariaDB answers");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
    connection.execute(sqlx::raw_sql(create)).await.expect("the schema is created");
    connection.close().await.expect("the connection closes");
    let pool = MySqlPoolOptions::new().max_connections(1).connect_lazy_with(options.database(&name));
    Db::from_pool(pool.clone()).migrate().await.expect("the migrations apply");
    pool.close().await;
    let mut url = reqwest::Url::parse(&server).expect("SCAIDNS_TEST_DATABASE_URL is a URL");
    url.set_path(&name);
    url.into()
}
