//! What this replica knows of revocations, and hence which remembered rights still count. Decisions are pure, with the
//! time passed in; around them one task that reads.
//!
//! Why a right that has ended is refused everywhere within a second. An entry is what MariaDB said at some moment after
//! its load *began*. It counts at a moment *now* if
//!
//! 1. a read of revocations that began at most [`TRUST`] before *now* has been taken in, and
//! 2. its load began after the last revocation that concerns it was taken in.
//!
//! Let a transaction that ends the right commit at *c*. A read that begins after *c* sees its row, so from its taking
//! in on, 2. fails for every entry whose load began before *c*, in whatever order load, read and insertion end: an entry
//! that is inserted late is as void as one that was there. Until then the last read taken in began before *c*, and 1.
//! fails from *c* + [`TRUST`] on. Both use this process's monotonic clock alone: no clock has to agree with another.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use crate::storage::revocations::{Reader, Recent, Revocation, Revoked};
use crate::storage::{self, Db, StorageError};

/// Revocations are read this often.
const READ_EVERY: Duration = Duration::from_millis(250);

/// How long ago the last read may have begun: two may be missed, and of the contract's second a quarter is left for
/// the way of a request and a process that is held up.
const TRUST: Duration = Duration::from_millis(750);

/// No entry counts for longer. It bounds how long revocations are remembered, and what a change costs that wrote none:
/// one by hand in MariaDB, or by an executable of before this table during an upgrade.
pub const ENTRY_LIFE: Duration = Duration::from_secs(10);

/// Revocations remembered one by one; where there are more, everything counts as revoked.
const MARKS_MAX: usize = 10_000;

/// What was revoked lately, and how current that knowledge is. Without [`Watch::follow`] it is never current.
#[derive(Default)]
pub struct Watch(RwLock<State>);

#[derive(Default)]
struct State {
    /// When the last read that was taken in began.
    read_began: Option<Instant>,
    /// When a revocation of everything was taken in last.
    all: Option<Instant>,
    /// The same of the others, within [`ENTRY_LIFE`].
    marks: HashMap<Revocation, Instant>,
    /// The rows of the last read: its look-back brings most of them again.
    known: HashSet<u64>,
}

impl Watch {
    /// Reads revocations for ever.
    pub async fn follow(&self, db: &Db) {
        let mut reader = Reader::new(db);
        let mut ticks = tokio::time::interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut fails = false;
        loop {
            ticks.tick().await;
            let caught_up = self.catch_up(&mut reader).await;
            match &caught_up {
                Ok(()) if fails => tracing::info!("revocations are read again"),
                Err(error) if !fails => {
                    tracing::warn!(%error, "revocations cannot be read; rights are looked up at each request");
                }
                Ok(()) | Err(_) => {}
            }
            fails = caught_up.is_err();
        }
    }

    /// One read. What comes later than [`TRUST`] would be of no use.
    pub async fn catch_up(&self, reader: &mut Reader) -> storage::Result<()> {
        let began = Instant::now();
        let late = |_| StorageError::Unavailable(format!("no answer within {TRUST:?}"));
        let recent = tokio::time::timeout(TRUST, reader.read()).await.map_err(late)??;
        self.write(|state| state.take_in(recent, began, Instant::now()));
        Ok(())
    }

    /// What this replica has revoked itself, after the commit.
    pub fn revoke(&self, Revoked(revoked): &Revoked) {
        self.write(|state| revoked.iter().for_each(|revocation| state.mark(*revocation, Instant::now())));
    }

    /// Whether anything remembered may count now.
    pub fn is_current(&self) -> bool {
        self.read(|state| state.is_current(Instant::now()))
    }

    /// Whether what was loaded since `began` and follows from what is `concerned` still counts.
    pub fn counts(&self, began: Instant, concerned: &[Revocation]) -> bool {
        self.read(|state| state.counts(began, concerned, Instant::now()))
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn is_current(&self, now: Instant) -> bool {
        self.read_began.is_some_and(|began| now.saturating_duration_since(began) <= TRUST)
    }

    fn counts(&self, began: Instant, concerned: &[Revocation], now: Instant) -> bool {
        let before = |mark: Option<&Instant>| mark.is_some_and(|at| began <= *at);
        self.is_current(now)
            && now.saturating_duration_since(began) < ENTRY_LIFE
            && !before(self.all.as_ref())
            && (self.marks.is_empty() || !concerned.iter().any(|revocation| before(self.marks.get(revocation))))
    }

    fn take_in(&mut self, Recent { rows, more }: Recent, began: Instant, now: Instant) {
        // after a longer pause a row may have come and left the look-back unseen
        let was_current = self.read_began.is_some_and(|last| began.saturating_duration_since(last) <= TRUST);
        if more || !was_current {
            self.mark(Revocation::All, now);
        }
        for (id, revocation) in &rows {
            if !self.known.contains(id) {
                self.mark(*revocation, now);
            }
        }
        self.known = rows.into_iter().map(|(id, _)| id).collect();
        // what they concern is over by its age
        self.marks.retain(|_, at| now.saturating_duration_since(*at) < ENTRY_LIFE);
        self.read_began = Some(began);
    }

    fn mark(&mut self, revocation: Revocation, now: Instant) {
        if revocation == Revocation::All || self.marks.len() >= MARKS_MAX {
            self.all = Some(now);
            self.marks.clear();
        } else {
            self.marks.insert(revocation, now);
        }
    }
}

#[cfg(test)]
impl Watch {
    /// As after a read that brought nothing, begun just now.
    pub fn just_read() -> Self {
        let watch = Self::default();
        watch.write(|state| state.take_in(Recent::default(), Instant::now(), Instant::now()));
        watch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{ApiKeyId, TenantId};

    const MS: Duration = Duration::from_millis(1);
    /// Of storage, in milliseconds.
    const LOOK_BACK: u64 = 10_000;

    fn read(rows: &[(u64, Revocation)]) -> Recent {
        Recent { rows: rows.to_vec(), more: false }
    }

    /// Reads that brought nothing, up to one that began at `until`.
    fn following(since: Instant, until: Instant) -> State {
        let mut state = State::default();
        let mut at = since;
        while at < until {
            state.take_in(read(&[]), at, at);
            at += READ_EVERY;
        }
        state.take_in(read(&[]), until, until);
        state
    }

    #[test]
    fn nothing_counts_where_revocations_are_not_read() {
        let start = Instant::now();
        assert!(!State::default().counts(start, &[], start));
    }

    #[test]
    fn a_revocation_voids_what_it_concerns_and_nothing_else() {
        let start = Instant::now();
        let [key, other] = [(); 2].map(|()| Revocation::Key(ApiKeyId::new()));
        let [tenant, elsewhere] = [(); 2].map(|()| Revocation::Tenant(TenantId::new()));
        let loaded = start + MS;
        for (revoked, voided) in
            [(key, true), (tenant, true), (Revocation::All, true), (other, false), (elsewhere, false)]
        {
            let mut state = following(start, start);
            assert!(state.counts(loaded, &[key, tenant], loaded));
            let now = start + READ_EVERY;
            state.take_in(read(&[(1, revoked)]), now, now);
            assert_eq!(!state.counts(loaded, &[key, tenant], now), voided, "{revoked}");
            assert!(state.counts(now + MS, &[key, tenant], now + MS), "{revoked}: what was loaded after it counts");
        }
    }

    #[test]
    fn what_a_load_brings_that_began_before_a_revocation_is_void_however_late_it_is_put_in() {
        let start = Instant::now();
        let key = Revocation::Key(ApiKeyId::new());
        let mut state = following(start, start);
        let began = start + 10 * MS;
        state.take_in(read(&[(1, key)]), start + READ_EVERY, start + READ_EVERY);
        for later in [251 * MS, 400 * MS, 700 * MS] {
            assert!(!state.counts(began, &[key], start + later));
        }
    }

    #[test]
    fn nothing_counts_once_the_last_read_began_too_long_ago() {
        let start = Instant::now();
        let state = following(start, start);
        assert!(state.counts(start + MS, &[], start + TRUST));
        assert!(!state.counts(start + MS, &[], start + TRUST + MS));
    }

    #[test]
    fn after_a_pause_nothing_from_before_counts() {
        let start = Instant::now();
        let mut state = following(start, start);
        let loaded = start + MS;
        let back = start + TRUST + MS;
        state.take_in(read(&[]), back, back);
        assert!(!state.counts(loaded, &[], back));
        assert!(state.counts(back + MS, &[], back + MS));
    }

    #[test]
    fn a_row_that_is_read_again_revokes_nothing_anew() {
        let start = Instant::now();
        let key = Revocation::Key(ApiKeyId::new());
        let mut state = following(start, start);
        let [first, second] = [start + READ_EVERY, start + 2 * READ_EVERY];
        state.take_in(read(&[(7, key)]), first, first);
        let loaded = first + MS;
        state.take_in(read(&[(7, key)]), second, second);
        assert!(state.counts(loaded, &[key], second));
        state.take_in(read(&[(7, key), (6, key)]), second, second);
        assert!(!state.counts(loaded, &[key], second), "a smaller number that was committed later");
    }

    #[test]
    fn more_revocations_than_are_read_void_everything() {
        let start = Instant::now();
        let mut state = following(start, start);
        state.take_in(Recent { rows: vec![], more: true }, start + 2 * MS, start + 2 * MS);
        assert!(!state.counts(start + MS, &[], start + 2 * MS));
    }

    #[test]
    fn more_revocations_than_are_remembered_void_everything() {
        let start = Instant::now();
        let mut state = following(start, start);
        for _ in 0..=MARKS_MAX {
            state.mark(Revocation::Key(ApiKeyId::new()), start + 2 * MS);
        }
        assert!(state.marks.len() <= MARKS_MAX);
        assert!(!state.counts(start + MS, &[], start + 2 * MS));
    }

    #[test]
    fn nothing_counts_for_longer_than_its_life() {
        let start = Instant::now();
        let end = start + ENTRY_LIFE;
        let state = following(start, end);
        assert!(state.counts(start + MS, &[], end));
        assert!(!state.counts(start, &[], end));
    }

    #[test]
    fn a_revocation_is_remembered_as_long_as_an_entry_that_it_voids() {
        let start = Instant::now();
        let key = Revocation::Key(ApiKeyId::new());
        let mut state = following(start, start);
        let mut now = start;
        while now < start + 2 * ENTRY_LIFE {
            now += READ_EVERY;
            // the row leaves the look-back long before
            let rows = if now < start + 8 * READ_EVERY { &[(1, key)][..] } else { &[] };
            state.take_in(read(rows), now, now);
            assert!(!state.counts(start + MS, &[key], now));
        }
        assert!(state.marks.is_empty());
    }

    /// Between two reads: mostly what is usual, at times a short outage or one as long as a read looks back.
    fn pause() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 200u64..300, 2 => 0u64..900, 1 => 7_000u64..11_000]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Times in milliseconds. A right ends with a commit; a read sees what is committed when it looks.
        #[test]
        fn no_schedule_lets_an_ended_right_count_a_second_later(
            commit in 1_000u64..10_000,
            written_before in 0u64..2_500,
            reads in prop::collection::vec((pause(), 0u64..300, 0u64..300), 1..60),
        ) {
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let key = Revocation::Key(ApiKeyId::new());
            let sees = |looked: u64| (commit..=commit - written_before.min(commit) + LOOK_BACK).contains(&looked);
            // of all loads that did not see the commit the one that counts longest
            let loaded = at(commit - 1);
            let late = commit + u64::try_from(TRUST.as_millis()).expect("small") + 1;
            let mut state = State::default();
            let mut taken_in = 0;
            for (pause, until_look, until_taken) in reads {
                let began = taken_in + pause;
                let looked = began + until_look;
                let next = looked + until_taken;
                // what does not count at one time does not later either, without another read
                let used = taken_in.max(late);
                prop_assert!(used >= next || !state.counts(loaded, &[key], at(used)), "at {used}");
                taken_in = next;
                let rows = if sees(looked) { vec![(1, key)] } else { vec![] };
                state.take_in(Recent { rows, more: false }, at(began), at(taken_in));
            }
        }
    }
}
