//! Random sequences of changes, in every way there is and through two replicas, against a plain model of the zone: what
//! the API shows, what a secondary gets and what the history leads to are the model, after each of them.
//!
//! `SCAIDNS_TEST_SEED=… cargo test --test it -- sequences` plays one again; the seed is printed at the start.

mod model;
mod play;

use std::time::{Duration, Instant};

use crate::support::{Trials, World, trials};
use play::Play;

/// So long it plays, and at least so many steps, within what a test may take.
const TIME: Duration = Duration::from_secs(40);
const STEPS_MAX: usize = 150;
const STEPS_MIN: usize = 25;

pub fn tests() -> Trials {
    trials![any_sequence_of_changes_leads_where_the_model_says]
}

async fn any_sequence_of_changes_leads_where_the_model_says() {
    let seed = std::env::var("SCAIDNS_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("SCAIDNS_TEST_SEED={seed}");
    let begun = Instant::now();
    let world = World::shared().await;
    let mut play = Play::new(world, seed).await;
    let mut steps = 0;
    while steps < STEPS_MIN || (steps < STEPS_MAX && begun.elapsed() < TIME) {
        play.step().await;
        play.check().await;
        steps += 1;
        if steps == 10 {
            // the first ones were on a zone that was not live yet
            play.go_live().await;
            play.check().await;
        }
    }
    play.check_history().await;
    println!("{steps} steps, {} changes, {} refused", play.changes(), play.refused);
    assert!(play.changes() > steps / 3, "hardly anything was accepted");
}
