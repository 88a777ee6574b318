//! A database of a test's own, on one private MariaDB that all unit tests of a run share.

use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::OnceLock;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

use super::Db;
use crate::dev::{Ports, Servers};

/// The shared server's URL, and the shell that ends the server: it waits for the end of its standard input, which the
/// kernel closes however the test process ends.
static SHARED: OnceLock<(String, Child)> = OnceLock::new();

fn shared_server() -> &'static str {
    let (url, _) = SHARED.get_or_init(|| std::thread::spawn(start).join().expect("servers start"));
    url
}

fn start() -> (String, Child) {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let servers = runtime.block_on(Servers::start(&folder, Ports::free())).expect("servers");
    let pids = [&servers.mariadb, &servers.redis, &servers.pdns].map(|server| server.pid().to_string());
    let script = format!("read _; kill -9 {}; sleep 0.2; rm -rf '{}'", pids.join(" "), folder.display());
    let shell = Command::new("sh").arg("-c").arg(script).stdin(Stdio::piped()).spawn().expect("a shell");
    let url = servers.database_url();
    // they belong to the whole process from here on
    std::mem::forget(servers);
    std::mem::forget(runtime);
    (url, shell)
}

/// A fresh schema with every migration applied. It is left behind: the server is a test run's own.
pub async fn database() -> Db {
    let options = MySqlConnectOptions::from_str(&database_url().await).expect("a mysql:// URL");
    Db::from_pool(MySqlPoolOptions::new().max_connections(5).connect_lazy_with(options))
}

/// The same, as the `DATABASE_URL` of a whole program.
pub async fn database_url() -> String {
    let server = shared_server();
    let options = MySqlConnectOptions::from_str(server).expect("a mysql:// URL");
    let name = format!("scaidns_test_{}", uuid::Uuid::now_v7().simple());
    let mut connection = MySqlConnection::connect_with(&options).await.expect("MariaDB answers");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
    connection.execute(sqlx::raw_sql(create)).await.expect("the schema is created");
    connection.close().await.expect("the connection closes");
    let pool = MySqlPoolOptions::new().max_connections(1).connect_lazy_with(options.database(&name));
    Db::from_pool(pool.clone()).migrate().await.expect("the migrations apply");
    pool.close().await;
    let mut url = reqwest::Url::parse(server).expect("a URL");
    url.set_path(&name);
    url.into()
}
