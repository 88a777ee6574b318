//! Random histories: whatever is asked in whatever order, whenever the driver dies, no cache ever finds a broken chain,
//! and in the end every zone comes to rest with one key of each role.

use std::collections::BTreeSet;

use proptest::prelude::*;
use time::Duration;

use super::world::{World, policy};
use crate::dns::dnssec::{Algorithm, Phase, Policy};

#[derive(Clone, Debug)]
enum Step {
    Enable(Algorithm),
    RotateZsk,
    RotateKsk(Option<Algorithm>),
    Confirm,
    Disable,
    RemoveDs,
    /// The owner does at a server of the parent what is asked of him.
    DoAsAsked {
        server: usize,
        only_add: bool,
    },
    /// The owner adds a DS to the one that is there, before he is to.
    AddTooEarly {
        server: usize,
    },
    /// The owner takes the DS away, which is always his right.
    TakeDsAway {
        server: usize,
    },
    Silence(Option<usize>),
    Pass(i64),
    Die(usize),
    SetTtls {
        data: i64,
        minimum: i64,
    },
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(vec![Algorithm::RsaSha256, Algorithm::EcdsaP256Sha256, Algorithm::Ed25519])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => algorithm().prop_map(Step::Enable),
        4 => Just(Step::RotateZsk),
        4 => prop::option::of(algorithm()).prop_map(Step::RotateKsk),
        4 => Just(Step::Confirm),
        2 => Just(Step::Disable),
        1 => Just(Step::RemoveDs),
        10 => (0..2_usize, any::<bool>()).prop_map(|(server, only_add)| Step::DoAsAsked { server, only_add }),
        2 => (0..2_usize).prop_map(|server| Step::AddTooEarly { server }),
        1 => (0..2_usize).prop_map(|server| Step::TakeDsAway { server }),
        2 => prop::option::of(0..2_usize).prop_map(Step::Silence),
        20 => (1..40_i64).prop_map(Step::Pass),
        5 => (0..6_usize).prop_map(Step::Die),
        3 => (1..60_i64, 1..60_i64).prop_map(|(data, minimum)| Step::SetTtls { data, minimum }),
    ]
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Enable(algorithm) => world.enable(*algorithm),
        Step::RotateZsk => drop(world.rotate_zsk()),
        Step::RotateKsk(algorithm) => drop(world.rotate_ksk(*algorithm)),
        Step::Confirm => drop(world.confirm()),
        Step::Disable => drop(world.look_and_disable()),
        Step::RemoveDs => drop(world.remove_ds()),
        Step::DoAsAsked { server, only_add } => world.do_as_asked(*server, *only_add),
        Step::AddTooEarly { server } => world.add_too_early(*server),
        Step::TakeDsAway { server } => world.set_parent(*server, BTreeSet::new()),
        Step::Silence(server) => world.silent = *server,
        Step::Pass(seconds) => {
            for _ in 0..*seconds {
                world.pass(1);
                world.drive();
            }
        }
        Step::Die(calls) => world.dies_after = Some(*calls),
        Step::SetTtls { data, minimum } => world.set_ttls(*data, *minimum),
    }
}

/// `SCAIDNS_TEST_HISTORIES` sets how many.
fn histories() -> u32 {
    std::env::var("SCAIDNS_TEST_HISTORIES").map_or(400, |text| text.parse().expect("a number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(histories()))]

    #[test]
    fn no_history_breaks_a_chain_and_every_zone_comes_to_rest(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new(Policy { zsk_overlap: Duration::seconds(45), ..policy() });
        // an owner who adds first at an algorithm rollover breaks strict validators: he is told not to
        let adds_first = |step: &Step| matches!(step, Step::DoAsAsked { only_add: true, .. } | Step::AddTooEarly { .. });
        world.strict = !steps.iter().any(adds_first);
        for step in &steps {
            take(&mut world, step);
        }
        for _ in 0..4 {
            world.settle();
        }
        match world.phase() {
            None => prop_assert_eq!(world.key_count(), 0),
            Some(phase) => {
                prop_assert_eq!(phase, Phase::Active);
                prop_assert_eq!(world.key_count(), 2);
            }
        }
    }
}
