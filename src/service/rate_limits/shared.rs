//! The count that all replicas share: one number for each caller in Redis, changed by one script. Redis's clock counts,
//! so replicas need not agree on the time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Script;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::ExposeSecret;

use crate::config::RedisConfig;

/// A request waits for Redis no longer than this, and then counts by what its replica knows.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(150);
/// After a failure nobody asks for this long, so that a Redis that is gone slows down hardly anybody.
const PAUSE: Duration = Duration::from_millis(500);
const PREFIX: &str = "scaidns:rate:";

/// GCRA. The key holds the time, in microseconds, at which the bucket would be full again. Takes up to ARGV[2] of what
/// is free, but of little only half: the rest is for other replicas. Answers what it took, and how long until the bucket
/// is full.
const LEASE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = 60000000 / tonumber(ARGV[1])
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
local free = math.max(0, math.floor((60000000 - (full_at - now)) / interval + 0.000001))
local granted = math.min(tonumber(ARGV[2]), math.ceil(free / 2))
if granted > 0 then
  full_at = full_at + granted * interval
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1000)
end
return {granted, math.ceil(full_at - now)}
";

/// What Redis has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    pub tokens: u32,
    /// Until the bucket that all share is full again.
    pub debt: Duration,
}

pub struct Shared {
    connection: ConnectionManager,
    script: Script,
    down_until: Mutex<Option<Instant>>,
}

impl Shared {
    /// Connects to nothing yet.
    pub fn new(config: &RedisConfig) -> redis::RedisResult<Self> {
        let client = redis::Client::open(config.url.expose_secret())?;
        let manager = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(ANSWER_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let connection = client.get_connection_manager_lazy(manager)?;
        Ok(Self { connection, script: Script::new(LEASE), down_until: Mutex::new(None) })
    }

    /// Whether it did not answer a moment ago.
    pub fn is_down(&self) -> bool {
        self.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Takes up to `wanted` for this caller. None: Redis does not answer.
    pub async fn lease(&self, caller: &str, limit: u32, wanted: u32) -> Option<Granted> {
        let mut connection = self.connection.clone();
        let mut call = self.script.key(format!("{PREFIX}{caller}"));
        call.arg(limit).arg(wanted);
        let asked = call.invoke_async::<(u32, u64)>(&mut connection);
        let failure = match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Ok((tokens, micros))) => {
                if self.lock().take().is_some() {
                    tracing::info!("Redis answers again: rate limits hold for all replicas together");
                }
                return Some(Granted { tokens, debt: Duration::from_micros(micros) });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ANSWER_TIMEOUT:?}"),
        };
        if self.lock().replace(Instant::now() + PAUSE).is_none() {
            tracing::warn!(%failure, "Redis fails: rate limits hold for each replica by itself");
        }
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.down_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
