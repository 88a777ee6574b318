//! For whom a task works, and the place it holds while it does.
//!
//! A task that waits for something else than what the place stands for (PowerDNS, a packet, the rest of a body, its turn
//! in a zone's line) stands aside meanwhile. It comes back without waiting: whoever is in the middle of something may
//! hold what others wait for. So a little more than all places can be taken for a moment, and nobody waits in a circle.

use std::cell::RefCell;
use std::time::Duration;

use super::places::{Busy, Party, Place, Places};

tokio::task_local! {
    static AT_WORK: RefCell<AtWork>;
}

#[derive(Default)]
struct AtWork {
    party: Party,
    held: Option<(Places, Place)>,
}

/// Runs work that nobody is known for yet.
pub async fn scope<T>(work: impl Future<Output = T>) -> T {
    scope_for(None, work).await
}

/// Runs work for a tenant.
pub async fn scope_for<T>(party: Party, work: impl Future<Output = T>) -> T {
    AT_WORK.scope(RefCell::new(AtWork { party, held: None }), work).await
}

/// For work that goes on in a task of its own: it is for the same tenant, and takes the place along.
pub fn hand_over<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let mine = AT_WORK.try_with(|cell| {
        let held = cell.borrow_mut().held.take();
        AtWork { party: cell.borrow().party, held }
    });
    AT_WORK.scope(RefCell::new(mine.unwrap_or_default()), work)
}

/// For whom the task works.
pub fn party() -> Party {
    AT_WORK.try_with(|cell| cell.borrow().party).unwrap_or_default()
}

/// Takes a place for the rest of the work, and notes whom it is for. Outside of a scope nothing is bounded.
pub async fn enter(places: &Places, party: Party, patience: Duration) -> Result<(), Busy> {
    let Ok(has_one) = AT_WORK.try_with(|cell| cell.borrow().held.is_some()) else { return Ok(()) };
    let place = if has_one { None } else { Some(places.enter(party, patience).await?) };
    let _ = AT_WORK.try_with(|cell| {
        let mut at_work = cell.borrow_mut();
        at_work.party = party;
        if let Some(place) = place {
            at_work.held = Some((places.clone(), place));
        }
    });
    Ok(())
}

/// Gives the place back.
pub fn leave() {
    let _ = AT_WORK.try_with(|cell| cell.borrow_mut().held.take());
}

/// Gives the place back while something else is waited for.
pub async fn aside<T>(wait: impl Future<Output = T>) -> T {
    let held = AT_WORK.try_with(|cell| cell.borrow_mut().held.take()).ok().flatten();
    let Some((places, place)) = held else { return wait.await };
    drop(place);
    let waited = wait.await;
    let _ = AT_WORK.try_with(|cell| {
        let mut at_work = cell.borrow_mut();
        if at_work.held.is_none() {
            let place = places.enter_again(at_work.party);
            at_work.held = Some((places, place));
        }
    });
    waited
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_place_is_free_for_others_while_its_holder_waits_for_something_else() {
        let places = Places::new("test", 1);
        scope(async {
            enter(&places, None, SHORT).await.expect("free");
            assert!(places.enter(None, SHORT).await.is_err(), "it is held");
            let met = aside(async { places.enter(None, SHORT).await.is_ok() }).await;
            assert!(met, "free meanwhile");
            assert!(places.enter(None, SHORT).await.is_err(), "held again");
            let elsewhere = tokio::spawn(hand_over(async {
                leave();
            }));
            elsewhere.await.expect("no panic");
            assert!(places.enter(None, SHORT).await.is_ok(), "it went along with the work");
            enter(&places, None, SHORT).await.expect("free");
        })
        .await;
        assert!(places.enter(None, SHORT).await.is_ok(), "and ends with it");
    }
}
