//! What credentials led to a moment ago, so that a request need not ask MariaDB again. Nothing but what was found is
//! remembered, bounded by number; whether it still counts is [`super::watch`]'s to say, at each use.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::storage;
use crate::storage::api_keys::PresentedKey;
use crate::storage::directory::{Holder, TenantRow};
use crate::storage::logged_out::TokenHash;
use crate::storage::revocations::Revocation;

use super::super::Result;
use super::watch::{ENTRY_LIFE, Watch};

/// Entries of one cache: more than are used at a time within the seconds that one lives; some kilobytes each.
const ENTRIES_MAX: usize = 10_000;

/// How long a request waits for another that loads the same; then it loads itself, and still has an answer within
/// three seconds.
const TURN_WAIT: Duration = Duration::from_millis(200);

/// Loads under way whose ends are not cleared away yet.
const TURNS_KEPT: usize = 1_000;

/// What ends with which revocations.
pub trait Revocable {
    /// Of a user or key: what it is, the tenant that it belongs to, and the one that it acts in.
    fn concerned_by(&self) -> Vec<Revocation>;
}

impl Revocable for PresentedKey {
    fn concerned_by(&self) -> Vec<Revocation> {
        let Self { key, tenant, owner } = self;
        vec![Revocation::Key(key.id), Revocation::Tenant(tenant.id), Revocation::Tenant(owner.home.id)]
    }
}

impl Revocable for Holder {
    fn concerned_by(&self) -> Vec<Revocation> {
        vec![Revocation::Tenant(self.home.id)]
    }
}

/// An access token that nobody has logged out.
pub struct Unspent(pub TokenHash);

impl Revocable for Unspent {
    fn concerned_by(&self) -> Vec<Revocation> {
        vec![Revocation::Token(self.0)]
    }
}

impl Revocable for TenantRow {
    fn concerned_by(&self) -> Vec<Revocation> {
        vec![Revocation::Tenant(self.id)]
    }
}

/// Values of one kind by what they are looked up with.
pub struct Cache<K, V> {
    watch: Arc<Watch>,
    entries: Mutex<Generations<K, Arc<Entry<V>>>>,
    /// Who loads a key lets those who want the same wait.
    turns: Mutex<HashMap<K, Weak<tokio::sync::Mutex<()>>>>,
}

struct Entry<V> {
    value: Arc<V>,
    /// Before the database was asked.
    began: Instant,
    concerned_by: Vec<Revocation>,
}

impl<K: Hash + Eq + Clone, V: Revocable> Cache<K, V> {
    pub fn new(watch: Arc<Watch>) -> Self {
        Self { watch, entries: Mutex::new(Generations::new(Instant::now())), turns: Mutex::default() }
    }

    /// What one of `keys` leads to: remembered if that `suffices`, else from the database. What does not suffice is
    /// never the last word: what was given back or widened a moment ago works at once.
    pub async fn find(
        &self,
        keys: &[K],
        suffices: impl Fn(&V) -> bool,
        load: impl Future<Output = storage::Result<Option<(K, V)>>>,
    ) -> Result<Option<Arc<V>>> {
        let known = self.known(keys);
        let is_unknown = known.is_none();
        if let Some(value) = known.filter(|value| suffices(value)) {
            return Ok(Some(value));
        }
        // nobody waits for a load of what is known and does not suffice, nor for one that will not be remembered
        let turn = keys.first().filter(|_| is_unknown && self.watch.is_current()).map(|key| self.turn(key));
        let _turn = match &turn {
            Some(turn) => {
                let held = tokio::time::timeout(TURN_WAIT, turn.lock()).await.ok();
                if let Some(value) = self.known(keys).filter(|value| suffices(value)) {
                    return Ok(Some(value));
                }
                held
            }
            None => None,
        };
        let began = Instant::now();
        let found = storage::within(load).await?;
        Ok(found.map(|(key, value)| self.remember(key, value, began)))
    }

    /// Whether something is remembered that counts.
    pub fn knows(&self, key: &K) -> bool {
        self.known(std::slice::from_ref(key)).is_some()
    }

    /// Forgets one entry: not as revoked, but as known to be old.
    pub fn forget(&self, key: &K) {
        lock(&self.entries).remove(key);
    }

    fn known(&self, keys: &[K]) -> Option<Arc<V>> {
        let entries = lock(&self.entries);
        let entry = keys.iter().find_map(|key| entries.get(key)).cloned()?;
        drop(entries);
        self.watch.counts(entry.began, &entry.concerned_by).then(|| entry.value.clone())
    }

    /// Puts it in even if it has been revoked meanwhile: then it does not count.
    fn remember(&self, key: K, value: V, began: Instant) -> Arc<V> {
        let concerned_by = value.concerned_by();
        let value = Arc::new(value);
        if self.watch.is_current() {
            let entry = Arc::new(Entry { value: value.clone(), began, concerned_by });
            lock(&self.entries).insert(key, entry, Instant::now());
        }
        value
    }

    fn turn(&self, key: &K) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= TURNS_KEPT {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }
}

/// A map that drops what is old or too much by the half: what is inserted goes into the young one, which becomes the
/// old one when it is full or as old as an entry can get.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    since: Instant,
}

impl<K: Hash + Eq, V> Generations<K, V> {
    fn new(now: Instant) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), since: now }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn insert(&mut self, key: K, value: V, now: Instant) {
        if self.young.len() >= ENTRIES_MAX / 2 || now.saturating_duration_since(self.since) >= ENTRY_LIFE {
            self.old = std::mem::take(&mut self.young);
            self.since = now;
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::ids::TenantId;
    use crate::storage::StorageError;
    use crate::storage::revocations::Revoked;

    #[derive(Debug)]
    struct Value {
        number: u32,
        tenant: TenantId,
    }

    impl Revocable for Value {
        fn concerned_by(&self) -> Vec<Revocation> {
            vec![Revocation::Tenant(self.tenant)]
        }
    }

    /// A cache and the number of loads.
    struct Bench {
        cache: Cache<&'static str, Value>,
        watch: Arc<Watch>,
        tenant: TenantId,
        loads: AtomicU32,
    }

    impl Bench {
        fn new(watch: Watch) -> Self {
            let watch = Arc::new(watch);
            let cache = Cache::new(watch.clone());
            Self { cache, watch, tenant: TenantId::new(), loads: AtomicU32::new(0) }
        }

        fn load(&self, key: &'static str) -> Option<(&'static str, Value)> {
            let number = self.loads.fetch_add(1, Ordering::Relaxed) + 1;
            Some((key, Value { number, tenant: self.tenant }))
        }

        /// The number of the load that the answer is from.
        async fn find(&self, keys: &[&'static str], suffices: impl Fn(&Value) -> bool) -> u32 {
            let last = keys[keys.len() - 1];
            let found = self.cache.find(keys, suffices, async { Ok(self.load(last)) }).await;
            found.expect("no error").expect("found").number
        }
    }

    #[tokio::test]
    async fn what_is_known_is_not_loaded_again_by_whichever_of_its_keys_it_is_known() {
        let bench = Bench::new(Watch::just_read());
        assert_eq!(bench.find(&["new pepper", "old pepper"], |_| true).await, 1);
        assert_eq!(bench.find(&["new pepper", "old pepper"], |_| true).await, 1);
        assert_eq!(bench.find(&["another"], |_| true).await, 2);
    }

    #[tokio::test]
    async fn where_nobody_reads_revocations_everything_is_loaded() {
        let bench = Bench::new(Watch::default());
        for number in 1..4 {
            assert_eq!(bench.find(&["key"], |_| true).await, number);
        }
    }

    #[tokio::test]
    async fn no_is_never_said_from_memory() {
        let bench = Bench::new(Watch::just_read());
        assert_eq!(bench.find(&["key"], |_| true).await, 1);
        assert_eq!(bench.find(&["key"], |known| known.number > 1).await, 2);
        assert_eq!(bench.find(&["key"], |known| known.number > 1).await, 2);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_remembered_nor_is_a_failure() {
        let bench = Bench::new(Watch::just_read());
        let nothing = bench.cache.find(&["key"], |_| true, async { Ok(None) }).await.expect("no error");
        assert!(nothing.is_none());
        let down = async { Err(StorageError::Unavailable("down".into())) };
        assert!(bench.cache.find(&["key"], |_| true, down).await.is_err());
        assert_eq!(bench.find(&["key"], |_| true).await, 1);
    }

    #[tokio::test]
    async fn what_was_read_before_a_revocation_and_arrives_after_it_is_not_used_twice() {
        let bench = Bench::new(Watch::just_read());
        let (arrive, arrives) = oneshot::channel();
        let slow = bench.cache.find(&["key"], |_| true, async {
            let read = bench.load("key");
            arrives.await.expect("it arrives");
            Ok(read)
        });
        let revoke = async {
            while bench.loads.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            bench.watch.revoke(&Revoked(vec![Revocation::Tenant(bench.tenant)]));
            arrive.send(()).expect("somebody waits");
        };
        let (slow, ()) = tokio::join!(slow, revoke);
        assert_eq!(slow.expect("no error").expect("found").number, 1, "its request began before");
        assert_eq!(bench.find(&["key"], |_| true).await, 2);
        assert_eq!(bench.find(&["key"], |_| true).await, 2);
    }

    #[tokio::test]
    async fn many_who_want_the_same_cause_one_load() {
        let bench = Bench::new(Watch::just_read());
        let one = || {
            bench.cache.find(&["key"], |_| true, async {
                let read = bench.load("key");
                tokio::task::yield_now().await;
                Ok(read)
            })
        };
        let found = futures::future::join_all((0..20).map(|_| one())).await;
        assert!(found.into_iter().all(|value| value.is_ok_and(|value| value.is_some())));
        assert_eq!(bench.loads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_load_that_hangs_holds_nobody_for_long() {
        let bench = Bench::new(Watch::just_read());
        let hangs = bench.cache.find(&["key"], |_| true, std::future::pending());
        let other = async { tokio::time::timeout(2 * TURN_WAIT, bench.find(&["key"], |_| true)).await };
        tokio::select! {
            _ = hangs => panic!("it hangs"),
            found = other => assert_eq!(found, Ok(1)),
        }
    }

    #[test]
    fn the_newest_are_kept_and_the_number_is_bounded() {
        let start = Instant::now();
        let mut map = Generations::new(start);
        for n in 0..3 * ENTRIES_MAX {
            map.insert(n, n, start);
        }
        assert!(map.young.len() + map.old.len() <= ENTRIES_MAX);
        assert_eq!(map.get(&(3 * ENTRIES_MAX - ENTRIES_MAX / 2)), Some(&(3 * ENTRIES_MAX - ENTRIES_MAX / 2)));
        assert_eq!(map.get(&0), None);
    }

    #[test]
    fn what_has_outlived_itself_is_dropped_with_later_insertions() {
        let start = Instant::now();
        let mut map = Generations::new(start);
        map.insert("a", 1, start);
        map.insert("b", 2, start + ENTRY_LIFE);
        assert_eq!(map.get(&"a"), Some(&1));
        map.insert("c", 3, start + 2 * ENTRY_LIFE);
        assert_eq!((map.get(&"a"), map.get(&"b")), (None, Some(&2)));
    }
}
