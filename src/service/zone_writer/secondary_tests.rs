//! Secondary zones, whose calls no guard can stop: what nobody has looked at is not taken to its end, and what is not
//! theirs is left alone.

use super::calls::Incoming;
use super::payload::Kind;
use super::tests::{World, departure};
use super::*;
use crate::ids::ChangeId;
use crate::pdns::{DeleteAnswer, SecondaryCreation};
use crate::storage::secondary_zones::{self, Source};
use crate::tenancy::{ZoneStatus, ZoneType};

const MASTER: &str = "192.0.2.53";

async fn claim(world: &World, name: &str) -> ZoneAccess {
    let access = world.claim_of(name, ZoneType::Secondary).await;
    let source = Source { masters: vec![MASTER.into()], tsig_key: None };
    let mut tx = world.db.begin().await.expect("begins");
    secondary_zones::insert(&mut tx, access.zone().id, &source).await.expect("kept");
    tx.commit().await.expect("commits");
    access
}

/// Going live, as the intent has it before and after the looks under it.
fn arriving(may_send: bool) -> Kind {
    let incoming = Incoming { masters: vec![MASTER.into()], tsig_key: None };
    Kind::SecondaryGoLive { validation: None, incoming, may_send }
}

#[tokio::test]
async fn recovery_takes_a_claim_to_its_end_only_if_its_neighbours_were_looked_at() {
    let world = World::start().await;
    let inner = world.writer().inner;
    for (name, may_send) in [("unseen.test", false), ("seen.test", true)] {
        let access = claim(&world, name).await;
        let row = world.row(&access).await;
        let payload = inner.empty_payload(&row, arriving(may_send));
        let held = inner.intend(&row, ChangeId::new(), &payload).await.expect("asked").expect("locked");
        let found = inner.recovery().run(held.intent.clone()).await;
        assert_eq!(found, if may_send { Recovered::Applied } else { Recovered::Dropped }, "{name}");
        assert_eq!(world.pdns().zone_head(name).await.expect("an answer").is_some(), may_send, "{name}");
        assert_eq!(world.row(&access).await.status == ZoneStatus::Active, may_send, "{name}");
        // the writer lets go, and hears what has become of it
        let let_go = inner.drop_intent(&held.intent, &payload, "too late").await;
        assert_eq!(matches!(let_go, Err(Error::OutcomeUnknown(_))), may_send, "{let_go:?}");
    }
}

#[tokio::test]
async fn either_the_writer_notes_that_it_may_send_or_recovery_owns_the_claim() {
    let world = World::start().await;
    let inner = world.writer().inner;
    for recovers_first in [false, true] {
        let access = claim(&world, if recovers_first { "lost.test" } else { "kept.test" }).await;
        let row = world.row(&access).await;
        let mut payload = inner.empty_payload(&row, arriving(false));
        let mut held = inner.intend(&row, ChangeId::new(), &payload).await.expect("asked").expect("locked");
        let read_before = held.intent.clone();
        payload.kind = arriving(true);
        if recovers_first {
            assert_eq!(inner.recovery().run(read_before).await, Recovered::Dropped);
            assert!(!inner.renew(&mut held, &payload).await.expect("asked"));
        } else {
            assert!(inner.renew(&mut held, &payload).await.expect("asked"));
            assert_eq!(inner.recovery().run(read_before).await, Recovered::NotOurs, "it has not read what stands now");
            assert_eq!(inner.recovery().run(held.intent).await, Recovered::Applied);
        }
    }
}

#[tokio::test]
async fn a_withdrawn_secondary_leaves_a_zone_that_was_not_made_for_it() {
    let world = World::start().await;
    let writer = world.writer();
    let access = claim(&world, "other.test").await;
    let row = world.row(&access).await;
    let payload = writer.inner.empty_payload(&row, arriving(true));
    let held = writer.inner.intend(&row, ChangeId::new(), &payload).await.expect("asked").expect("locked");
    assert_eq!(writer.inner.recovery().run(held.intent).await, Recovered::Applied);
    assert!(matches!(world.pdns().delete_zone("other.test").await, DeleteAnswer::Gone));
    let others = SecondaryCreation {
        name: "other.test.".into(),
        kind: "Slave",
        account: "somebody".into(),
        masters: vec![MASTER.into()],
        slave_tsig_key_ids: Vec::new(),
    };
    assert!(world.pdns().create_secondary_zone(&others).await.expect("made"));
    writer.set_status(departure(&access), Move::Withdraw).await.expect("withdrawn");
    assert_eq!(world.row(&access).await.status, ZoneStatus::Inactive);
    let left = world.pdns().zone_head("other.test").await.expect("an answer").expect("left alone");
    assert_eq!(left.account, "somebody");
}
