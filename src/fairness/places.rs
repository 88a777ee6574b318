//! A number of places, shared out fairly among tenants.
//!
//! A free place goes at once to whoever asks. Where none is, the next one goes to the tenant that holds the fewest, and
//! among equals to the one that was served longest ago; within a tenant who came first is first. So a tenant with a
//! thousand requests waits behind itself: another's single one is next. In company no tenant has more than a quarter:
//! what many do at once is slower for each of them, and behind the places are processors that know no tenants.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ids::TenantId;

/// Whom a place is for; None: the program's own work, and callers whom nobody knows yet.
pub type Party = Option<TenantId>;

/// In company one tenant has one of so many places.
const SHARE: usize = 4;
/// Another tenant is company for so long after it came last.
const COMPANY: Duration = Duration::from_secs(2);

/// No place came free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no place came free in time")]
pub struct Busy;

/// The places of one kind. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    total: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// How many were handed out so far; tells who was served longest ago.
    served: u64,
    parties: HashMap<Party, Line>,
    /// Who came last, and, of all others, who came last.
    latest: Option<(Party, Instant)>,
    latest_other: Option<(Party, Instant)>,
}

/// One tenant's: it has an entry exactly while it holds a place or waits for one.
#[derive(Debug, Default)]
struct Line {
    held: usize,
    served: u64,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    /// None: it was given back.
    shared: Option<Arc<Shared>>,
    party: Party,
}

impl Places {
    /// `name`: as metrics have it.
    pub fn new(name: &'static str, total: usize) -> Self {
        Self { shared: Arc::new(Shared { name, total, state: Mutex::default() }) }
    }

    /// Waits for a place, no longer than this.
    pub async fn enter(&self, party: Party, patience: Duration) -> Result<Place, Busy> {
        let receiver = match self.line_up(party) {
            Ok(place) => return Ok(place),
            Err(receiver) => receiver,
        };
        // one that gives up drops its end of the channel, and is passed over, or passes the place on
        match tokio::time::timeout(patience, receiver).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => {
                metrics::counter!("scaidns_places_refused_total", "kind" => self.shared.name).increment(1);
                Err(Busy)
            }
        }
    }

    /// Takes a place whether or not one is free: for whoever had one, stood aside, and must not wait in the middle of
    /// what it does.
    pub fn enter_again(&self, party: Party) -> Place {
        let mut state = self.shared.state();
        state.take(party);
        self.shared.tell(&state);
        Place { shared: Some(self.shared.clone()), party }
    }

    fn line_up(&self, party: Party) -> Result<Place, oneshot::Receiver<Place>> {
        let mut state = self.shared.state();
        state.note(party);
        let share = state.share(party, self.shared.total);
        let line = state.parties.get(&party);
        let is_first = line.is_none_or(|line| line.waiting.is_empty());
        if is_first && state.taken < self.shared.total && line.map_or(0, |line| line.held) < share {
            state.take(party);
            self.shared.tell(&state);
            return Ok(Place { shared: Some(self.shared.clone()), party });
        }
        let (sender, receiver) = oneshot::channel();
        state.parties.entry(party).or_default().waiting.push_back(sender);
        self.shared.tell(&state);
        Err(receiver)
    }

    #[cfg(test)]
    fn taken(&self) -> usize {
        self.shared.state().taken
    }
}

impl Shared {
    /// A panic elsewhere leaves the state as it is, which is consistent: each change of it is one step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &State) {
        let waiting: usize = state.parties.values().map(|line| line.waiting.len()).sum();
        metrics::gauge!("scaidns_places_taken", "kind" => self.name).set(state.taken as f64);
        metrics::gauge!("scaidns_places_waited_for", "kind" => self.name).set(waiting as f64);
    }
}

impl State {
    fn note(&mut self, party: Party) {
        let before = self.latest.replace((party, Instant::now()));
        if let Some((other, _)) = before
            && other != party
        {
            self.latest_other = before;
        }
    }

    /// How many places this one may have.
    fn share(&self, party: Party, total: usize) -> usize {
        let other = [self.latest, self.latest_other].into_iter().flatten().find(|(other, _)| *other != party);
        let has_company = other.is_some_and(|(_, came)| came.elapsed() < COMPANY);
        if has_company { (total / SHARE).max(1) } else { total }
    }

    fn take(&mut self, party: Party) {
        self.taken += 1;
        self.served += 1;
        let line = self.parties.entry(party).or_default();
        line.held += 1;
        line.served = self.served;
    }

    fn give_back(&mut self, party: Party) {
        self.taken -= 1;
        if let Some(line) = self.parties.get_mut(&party) {
            line.held -= 1;
            self.forget_if_gone(party);
        }
    }

    fn forget_if_gone(&mut self, party: Party) {
        if self.parties.get(&party).is_some_and(|line| line.held == 0 && line.waiting.is_empty()) {
            self.parties.remove(&party);
        }
    }

    /// Who is next, if there is a place; its place is taken.
    fn next(&mut self, total: usize) -> Option<(Party, oneshot::Sender<Place>)> {
        while self.taken < total {
            let may =
                |(party, line): &(&Party, &Line)| !line.waiting.is_empty() && line.held < self.share(**party, total);
            let (party, _) = self.parties.iter().filter(may).min_by_key(|(_, line)| (line.held, line.served))?;
            let party = *party;
            let sender = self.parties.get_mut(&party)?.waiting.pop_front()?;
            if sender.is_closed() {
                self.forget_if_gone(party);
                continue;
            }
            self.take(party);
            return Some((party, sender));
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        let mut state = shared.state();
        state.give_back(self.party);
        while let Some((party, sender)) = state.next(shared.total) {
            let place = Place { shared: Some(shared.clone()), party };
            if let Err(mut unwanted) = sender.send(place) {
                // it has given up this very moment
                unwanted.shared = None;
                state.give_back(party);
            }
        }
        shared.tell(&state);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn tenant(number: u128) -> Party {
        Some(TenantId(Uuid::from_u128(number)))
    }

    #[tokio::test]
    async fn the_next_place_goes_to_whoever_has_the_fewest() {
        let places = Places::new("test", 4);
        let (busy, quiet) = (tenant(1), tenant(2));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(places.enter(busy, LONG).await.expect("free"));
        }
        let mut crowd: Vec<_> = (0..50).map(|_| Box::pin(places.enter(busy, LONG))).collect();
        for one in &mut crowd {
            assert!(one.now_or_never_by_ref().is_none(), "all are taken");
        }
        let mut last = Box::pin(places.enter(quiet, LONG));
        assert!(last.now_or_never_by_ref().is_none());
        held.remove(0);
        drop(last.now_or_never_by_ref().expect("it came last and is next").expect("a place"));
        held.clear();
        let first = crowd[0].now_or_never_by_ref().expect("first come, first served");
        assert!(crowd[1].now_or_never_by_ref().is_none(), "in company it has one of four");
        drop(first);
        assert!(crowd[1].now_or_never_by_ref().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_alone_has_all_places_and_in_company_a_quarter() {
        let places = Places::new("test", 8);
        let all = |party| {
            std::iter::from_fn(|| places.enter(party, LONG).now_or_never())
                .collect::<Result<Vec<_>, _>>()
                .expect("free")
        };
        let alone = all(tenant(1));
        assert_eq!(alone.len(), 8);
        drop(alone);
        let company = all(tenant(2));
        assert_eq!(company.len(), 2);
        assert_eq!(all(tenant(1)).len(), 2);
        drop(company);
        tokio::time::sleep(COMPANY).await;
        assert_eq!(all(tenant(1)).len(), 8, "it is alone again");
        tokio::time::sleep(COMPANY).await;
        let single = Places::new("test", 1);
        assert!(single.enter(tenant(1), LONG).now_or_never().is_some());
        assert!(single.enter(tenant(2), LONG).now_or_never().is_some(), "there is always one");
    }

    #[tokio::test]
    async fn who_gives_up_takes_no_place_along() {
        let places = Places::new("test", 1);
        let place = places.enter(None, LONG).await.expect("free");
        let mut waits = Box::pin(places.enter(tenant(1), LONG));
        assert!(waits.now_or_never_by_ref().is_none());
        drop(waits);
        assert_eq!(places.enter(tenant(2), Duration::from_millis(1)).await.expect_err("taken"), Busy);
        // granted, and never looked at
        let mut granted = Box::pin(places.enter(tenant(3), LONG));
        assert!(granted.now_or_never_by_ref().is_none());
        drop(place);
        assert_eq!(places.taken(), 1);
        drop(granted);
        assert_eq!(places.taken(), 0);
        assert!(places.enter(tenant(1), LONG).now_or_never().is_some());
        assert!(places.shared.state().parties.is_empty(), "nobody is remembered");
    }

    #[tokio::test]
    async fn who_stood_aside_comes_back_without_waiting() {
        let places = Places::new("test", 1);
        let place = places.enter(tenant(1), LONG).await.expect("free");
        let again = places.enter_again(tenant(2));
        assert_eq!(places.taken(), 2);
        drop(again);
        assert!(places.enter(tenant(2), LONG).now_or_never().is_none(), "one is one");
        drop(place);
        assert!(places.enter(tenant(2), LONG).now_or_never().is_some());
    }

    trait Poll: Future + Unpin + Sized {
        fn now_or_never_by_ref(&mut self) -> Option<Self::Output> {
            self.now_or_never()
        }
    }

    impl<F: Future + Unpin> Poll for F {}
}
