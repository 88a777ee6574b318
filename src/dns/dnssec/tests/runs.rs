//! The ways through the machine, one at a time, and the faults that the oracle must see.

use std::collections::BTreeSet;

use time::Duration;

use super::world::{LAG, World, policy};
use crate::dns::dnssec::plan::{self, ServerKey, Visible};
use crate::dns::dnssec::{
    Action, Age, Alarm, Algorithm, Denial, Phase, Policy, Refused, Role, Signing, Status, Trouble,
};

const P256: Algorithm = Algorithm::EcdsaP256Sha256;

fn active() -> World {
    let mut world = World::new(policy());
    world.enable(P256);
    world.settle();
    assert_eq!(world.phase(), Some(Phase::Active));
    world
}

fn assert_rests(world: &World) {
    assert_eq!(world.phase(), Some(Phase::Active));
    assert_eq!(world.key_count(), 2, "one key of each role: {:?}", world.row);
}

#[test]
fn enable_zsk_ksk_algorithm_zsk_disable() {
    for (from, to) in [(P256, Algorithm::Ed25519), (Algorithm::RsaSha256, P256)] {
        let mut world = World::new(policy());
        world.enable(from);
        assert_eq!(world.phase(), Some(Phase::Signing));
        assert_eq!(world.rotate_zsk(), Err(Refused::PendingDs));
        world.settle();
        assert_rests(&world);
        let zsk = world.current(Role::Zsk);
        world.rotate_zsk().expect("begins");
        assert!(matches!(world.rotate_ksk(None), Err(Refused::RollingOver { .. })));
        world.settle();
        assert_rests(&world);
        assert_ne!(world.current(Role::Zsk), zsk);
        let ksk = world.current(Role::Ksk);
        world.rotate_ksk(None).expect("begins");
        world.settle();
        assert_rests(&world);
        assert_ne!(world.current(Role::Ksk), ksk);
        world.rotate_ksk(Some(to)).expect("begins");
        world.settle();
        assert_rests(&world);
        assert_eq!(world.row.as_ref().and_then(Signing::algorithm), Some(to));
        world.rotate_zsk().expect("begins");
        world.settle();
        assert_rests(&world);
        assert_eq!(world.look_and_disable(), Err(Refused::DsStillPublished));
        for server in 0..world.parents() {
            world.set_parent(server, BTreeSet::new());
        }
        assert!(matches!(world.look_and_disable(), Err(Refused::DsStillCached { .. })));
        world.pass(30);
        assert!(matches!(world.look_and_disable(), Err(Refused::DsStillCached { .. })), "the keys are still trusted");
        world.pass(10);
        world.look_and_disable().expect("the DS has left the caches");
        assert_eq!((world.phase(), world.key_count()), (None, 0));
        world.pass(100);
    }
}

#[test]
fn a_ds_is_removed_on_request_and_the_zone_unsigned_by_itself() {
    let mut world = active();
    world.remove_ds().expect("begins");
    assert_eq!(world.row.as_ref().map(|row| row.cds_contents(&world.zone).0), Some(vec!["0 0 0 00".to_owned()]));
    world.settle();
    assert_eq!((world.phase(), world.key_count()), (None, 0));
}

#[test]
fn a_key_that_signs_everything_gets_one_for_the_data_beside_it() {
    let mut world = World::new(policy());
    world.sign_by_one_key(P256);
    world.settle();
    assert_eq!((world.phase(), world.key_count()), (Some(Phase::Active), 1));
    let csk = world.row.as_ref().and_then(|row| row.key(Role::Ksk, Age::Current)).cloned().expect("a key");
    let adopted = Signing::adopt(csk, Denial::Narrow, world.time());
    let parent = world.row.as_ref().map(|row| row.parent.clone()).expect("seen");
    world.ask(|_, _| Ok(Signing { parent, ..adopted })).expect("taken");
    world.settle();
    assert_rests(&world);
}

#[test]
fn lifetimes_roll_keys_by_themselves() {
    let mut world = World::new(Policy { zsk_lifetime: Some(Duration::seconds(900)), ..policy() });
    world.enable(P256);
    world.settle();
    let zsk = world.current(Role::Zsk);
    world.pass(700);
    world.settle();
    assert_ne!(world.current(Role::Zsk), zsk);
}

#[test]
fn a_replaced_zsk_stays_for_the_overlap_which_another_rollover_cuts_short() {
    let mut world = World::new(Policy { zsk_overlap: Duration::seconds(600), ..policy() });
    world.enable(P256);
    world.settle();
    world.rotate_zsk().expect("begins");
    world.settle(); // far less than the overlap
    assert_eq!((world.phase(), world.key_count()), (Some(Phase::ZskRetiring), 3));
    let row = world.row.clone().expect("a row");
    assert!(row.zsk_retires(&world.policy) > world.time());
    let zsk = world.current(Role::Zsk);
    world.rotate_ksk(None).expect("nothing but the overlap is waited for");
    assert_eq!(
        (world.phase(), world.key_count()),
        (Some(Phase::KskPublished), 3),
        "the old ZSK is gone, a KSK has come"
    );
    world.settle();
    assert_rests(&world);
    assert_eq!(world.current(Role::Zsk), zsk);

    world.rotate_zsk().expect("begins");
    world.settle();
    world.policy.zsk_overlap = Duration::ZERO; // a shorter one counts at once
    world.settle();
    assert_rests(&world);
}

#[test]
fn a_ds_that_comes_before_its_time_is_noted_and_a_raised_ttl_moves_that_time() {
    let mut world = active();
    world.rotate_ksk(None).expect("begins");
    let first = world.row.as_ref().and_then(|row| row.not_before).expect("a wait");
    world.pass(1);
    world.set_ttls(30, 50);
    for server in 0..world.parents() {
        world.add_too_early(server);
    }
    world.confirm().expect("it is everywhere");
    world.drive();
    let row = world.row.as_ref().expect("a row");
    assert_eq!((row.phase, row.status()), (Phase::KskPublished, Status::Active));
    let until = row.not_before.expect("a wait");
    assert!(until >= world.time() + Duration::seconds(49) && until > first, "{until} {first}");
    let mut asked = row.ds_records(&world.zone, &world.policy);
    asked.retain(|record| record.action == Action::Remove);
    assert!(!asked.is_empty() && asked.iter().all(|record| record.not_before == Some(until)), "{asked:?}");
    world.settle();
    assert_rests(&world);
}

#[test]
fn who_answers_for_a_ds_before_its_time_hears_that_the_rollover_is_over_and_both_keys_stay_until_it_is() {
    let mut world = active();
    world.rotate_ksk(None).expect("begins");
    world.pass(1);
    for server in 0..world.parents() {
        world.add_too_early(server);
    }
    world.vouch().expect("nobody looks");
    world.drive();
    let row = world.row.as_ref().expect("a row");
    assert_eq!((row.phase, row.status()), (Phase::KskPublished, Status::Active));
    let until = row.not_before.expect("a wait");
    let mut asked = row.ds_records(&world.zone, &world.policy);
    asked.retain(|record| record.action == Action::Remove);
    assert!(!asked.is_empty() && asked.iter().all(|record| record.not_before == Some(until)), "{asked:?}");
    while world.phase() == Some(Phase::KskPublished) {
        assert!(world.time() <= until + Duration::seconds(5));
        world.pass(5);
        world.drive();
    }
    assert_eq!(world.phase(), Some(Phase::KskRetiring), "the parent is not asked");
    assert_eq!(world.key_count(), 3, "the old key stays until its DS has left the caches");
    world.settle();
    assert_rests(&world);
}

#[test]
fn a_parent_that_lags_is_silent_or_has_only_half_of_it_is_waited_for() {
    let mut world = active();
    world.rotate_ksk(None).expect("begins");
    world.pass(60);
    world.drive();
    assert_eq!(world.phase(), Some(Phase::KskWaitDs));
    world.do_as_asked(0, false);
    assert_eq!(world.confirm(), Err(Refused::DsNotFound));
    world.do_as_asked(1, false);
    world.silent = Some(1);
    assert_eq!(world.confirm(), Err(Refused::ParentUnknown));
    for _ in 0..50 {
        world.pass(5);
        world.drive();
    }
    assert_eq!(world.phase(), Some(Phase::KskWaitDs));
    let alarm = world.row.as_ref().and_then(|row| row.alarm(&world.zone, world.time(), &world.policy));
    assert!(matches!(alarm, Some(Alarm::ParentSilent { .. })), "{alarm:?}");
    world.silent = None;
    world.confirm().expect("all show it");
    assert_eq!(world.phase(), Some(Phase::KskRetiring));
    assert_eq!(world.key_count(), 3, "the old key stays until its DS has left the caches");
    world.settle();
    assert_rests(&world);
}

#[test]
fn the_new_ds_may_be_added_first_but_not_at_an_algorithm_rollover() {
    let mut world = active();
    world.rotate_ksk(None).expect("begins");
    world.pass(60);
    world.drive();
    for server in 0..world.parents() {
        world.do_as_asked(server, true);
    }
    world.confirm().expect("the new one is everywhere");
    world.settle();
    assert_rests(&world);
    assert!(
        world.parent(0).iter().all(
            |ds| Some(ds.key_tag) == world.row.as_ref().and_then(|row| row.key(Role::Ksk, Age::Current)?.key_tag())
        )
    );

    world.rotate_ksk(Some(Algorithm::Ed25519)).expect("begins");
    assert!(matches!(world.confirm(), Err(Refused::TooEarly { .. })));
    while world.phase() != Some(Phase::AlgWaitDs) {
        world.pass(5);
        world.drive();
    }
    world.do_as_asked(0, true);
    world.do_as_asked(1, false);
    assert_eq!(world.confirm(), Err(Refused::OldDsStillPublished));
    world.settle();
    assert_rests(&world);
}

#[test]
fn a_vanished_or_foreign_ds_freezes_and_is_asked_back() {
    let mut world = active();
    let ds = world.parent(0).clone();
    world.set_parent(0, BTreeSet::new());
    world.pass(61);
    world.drive();
    assert!(matches!(world.rotate_zsk(), Err(Refused::Alarm(Alarm::DsVanished { .. }))));
    let row = world.row.clone().expect("a row");
    assert!(row.ds_records(&world.zone, &world.policy).iter().all(|record| record.action == Action::Add));
    world.set_parent(0, ds);
    world.pass(61);
    world.drive();
    world.strict = false;
    let foreign = "4711 13 2 ".to_owned() + &"AB".repeat(32);
    let mut both = world.parent(1).clone();
    both.insert(foreign.parse().expect("a DS"));
    world.set_parent(1, both);
    world.pass(61);
    world.drive();
    assert!(matches!(world.rotate_ksk(None), Err(Refused::Alarm(Alarm::DsForeign { key_tag: 4711, .. }))));
}

#[test]
fn a_ds_that_may_have_come_and_gone_while_the_parent_was_silent_is_waited_for() {
    let mut world = World::new(policy());
    world.enable(P256);
    for _ in 0..60 {
        world.pass(1);
        world.drive();
    }
    assert_eq!(world.phase(), Some(Phase::PendingDs));
    world.silent = Some(0);
    world.pass(1);
    world.do_as_asked(0, false);
    for _ in 0..200 {
        world.pass(1);
        world.drive();
    }
    world.set_parent(0, BTreeSet::new());
    world.silent = None;
    assert!(matches!(world.look_and_disable(), Err(Refused::DsStillCached { .. })), "resolvers may still have it");
    world.wait_for_unseen();
    world.look_and_disable().expect("nobody has it any more, whatever its TTL was");
    assert_eq!(world.phase(), None);
}

#[test]
fn a_zone_that_never_had_a_ds_is_unsigned_at_once_also_after_a_look_that_somebody_did_not_answer() {
    let mut world = World::new(policy());
    world.enable(P256);
    for second in 0..300 {
        world.silent = (second % 50 < 20).then_some(1);
        world.pass(1);
        world.drive();
    }
    world.silent = None;
    world.look_and_disable().expect("it was never there");
    assert_eq!(world.phase(), None);
}

#[test]
fn a_zone_that_is_transferred_gets_a_new_serial_before_its_signatures_are_over_whatever_it_waits_for() {
    const WEEK: i64 = 7 * 86_400;
    let mut world = active();
    let served = |world: &World| world.row.as_ref().and_then(|row| row.applied_at).expect("applied");
    let first = served(&world);
    world.pass(WEEK);
    world.drive();
    assert_eq!(served(&world), first, "nobody transfers a narrow zone");
    world.row.as_mut().expect("a row").denial = Denial::Nsec;
    for phase in [Phase::Active, Phase::KskWaitDs] {
        if phase == Phase::KskWaitDs {
            world.rotate_ksk(None).expect("begins");
            world.pass(60);
            world.drive();
        }
        let before = world.row.clone().expect("a row");
        for _ in 0..3 {
            world.pass(WEEK);
            world.drive();
            assert_eq!((world.phase(), served(&world)), (Some(phase), world.time()));
        }
        let after = world.row.clone().expect("a row");
        assert_eq!(
            (after.begun_at, after.not_before, after.verified_at),
            (before.begun_at, before.not_before, before.verified_at)
        );
    }
    world.settle();
    assert_rests(&world);
}

#[test]
fn keys_that_are_missing_or_not_ours_are_trouble() {
    let world = active();
    let row = world.row.clone().expect("a row");
    let id = world.current(Role::Ksk).expect("an id");
    let tag = row.key(Role::Ksk, Age::Current).and_then(|key| key.key_tag()).expect("a tag");
    assert_eq!(plan::calls(&row, &[]), Err(Trouble::KeyMissing { key_tag: tag }));
    let visible = Visible { active: true, published: true };
    let key = |id, flags, key_tag| ServerKey { id, flags, key_tag, visible };
    let actual = [key(id, 257, tag), key(world.current(Role::Zsk).expect("an id"), 256, 1), key(99, 257, 7)];
    assert_eq!(plan::calls(&row, &actual), Err(Trouble::KeyForeign { id: 99, key_tag: 7 }));
    assert_eq!(plan::calls(&row, &actual[..2]), Ok(Vec::new()));
}

/// The oracle is there to see faults: without the waits it must.
#[test]
fn the_oracle_sees_waits_that_are_too_short() {
    let short = Policy { propagation: Duration::seconds(-LAG), ..policy() };
    let broken = std::panic::catch_unwind(move || {
        let mut world = World::new(short);
        world.enable(P256);
        world.settle();
        world.rotate_zsk().expect("begins");
        for _ in 0..100 {
            world.drive();
            world.pass(1);
        }
    });
    assert!(broken.is_err(), "a ZSK that was switched too early was not noticed");
    let hasty = Policy { margin: Duration::seconds(-20), ..policy() };
    let broken = std::panic::catch_unwind(move || {
        let mut world = World::new(hasty);
        world.enable(P256);
        world.settle();
        world.rotate_ksk(None).expect("begins");
        world.settle();
    });
    assert!(broken.is_err(), "a KSK that was removed before its DS had left the caches was not noticed");
    let broken = std::panic::catch_unwind(|| {
        let mut world = active();
        for server in 0..world.parents() {
            world.set_parent(server, BTreeSet::new());
        }
        world.pass(22); // more than the DS's TTL, and not enough for keys that were found secure by it
        world.ask(|row, world| Ok(row.unsign(world.time()))).expect("nobody asks the machine");
    });
    assert!(broken.is_err(), "a zone that was unsigned while its keys were trusted was not noticed");
}
