//! What ScaiKey tells: taken into the inbox once its signature is good, then into the mirror, at once if that can be
//! done, else by the worker, until it can.

use crate::scaikey::{Event, EventError, Happened, Told, check_signature};
use crate::storage::inbox;
use crate::storage::{StorageError, within, within_write};

use super::mirror::decide::Step;
use super::mirror::{Intake, IntakeError, Made, Source, transaction};
use super::{ActorRecord, Error, RequestInfo, Result, Services};

/// The request that brought an event works on it; after this long the worker may.
const LEASE_SECONDS: u32 = 30;

/// Events that the worker tries in one run.
const BATCH: u32 = 100;

/// Attempts before an event is given up: with the pauses below more than three days.
const ATTEMPTS_MAX: u32 = 90;

/// The longest pause between two attempts.
const PAUSE_MAX_SECONDS: u32 = 3_600;

/// What came of an event.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub success: bool,
    pub message: String,
    pub event_id: String,
}

/// A delivery as it came.
pub struct Delivery<'a> {
    pub signature: Option<&'a str>,
    pub event_id: Option<&'a str>,
    pub event_type: Option<&'a str>,
    pub body: &'a [u8],
}

/// Nothing of the body is read before its signature is found good.
pub async fn receive(services: &Services, request: &RequestInfo, delivery: Delivery<'_>) -> Result<Receipt> {
    let Delivery { signature, event_id, event_type, body } = delivery;
    let now = services.clock.now();
    let is_good = |header| check_signature(header, body, &services.config.secrets.webhook_secrets, now);
    if !signature.is_some_and(is_good) {
        counted("unknown", "refused");
        return Err(Error::Unauthenticated("The signature is missing, too old or wrong".into()));
    }
    let event = match Event::parse(body, event_id, event_type, now) {
        Ok(Told::Event(event)) => event,
        Ok(Told::Unknown { id, event_type }) => {
            // whatever it is called is no label
            counted("unknown", "ignored");
            return Ok(Receipt { success: true, message: format!("Event {event_type} ignored"), event_id: id });
        }
        Ok(Told::Unusable { id, event_type, reason }) => {
            counted(&event_type, "unusable");
            tracing::warn!(event_id = id, event_type, reason, "an event of ScaiKey cannot be used; a sync mends it");
            let message = format!("Event {event_type} cannot be processed: {reason}");
            return Ok(Receipt { success: false, message, event_id: id });
        }
        Err(EventError(reason)) => {
            counted("unknown", "refused");
            return Err(Error::schema(&["body"], format!("is no event: {reason}")));
        }
    };
    let text = stored(body, &event)?;
    let insert = inbox::insert(&services.db, &event.id, &event.event_type, &text, LEASE_SECONDS);
    let message = if within_write(insert).await? {
        match process(services, request, &event).await {
            Ok(()) => {
                counted(&event.event_type, "processed");
                format!("Event {} processed successfully", event.event_type)
            }
            Err(error) => {
                counted(&event.event_type, "failed");
                note_failure(services, &event.id, 0, &error).await?;
                let message = format!("Event {} is kept and tried again: {}", event.event_type, shown(&error));
                return Ok(Receipt { success: false, message, event_id: event.id });
            }
        }
    } else {
        counted("known", "repeated");
        format!("Event {} was received before", event.event_type)
    };
    Ok(Receipt { success: true, message, event_id: event.id })
}

/// For the metrics.
fn counted(event_type: &str, status: &'static str) {
    let labels = [("event_type", event_type.to_owned()), ("status", status.to_owned())];
    metrics::counter!("scaidns_webhook_events_total", &labels).increment(1);
}

/// Tries what waits. Answers how many it has dealt with.
pub async fn work_off(services: &Services) -> Result<u64> {
    let mut dealt_with = 0;
    for event_id in within(inbox::due(&services.db, BATCH)).await? {
        let waiting = within(async {
            let mut tx = services.db.begin().await?;
            inbox::lock(&mut tx, &event_id).await
        });
        let Some(waiting) = waiting.await? else { continue };
        let read = Event::parse(waiting.body.as_bytes(), None, None, services.clock.now());
        let done = match read {
            Ok(Told::Event(event)) => process(services, &RequestInfo::none(), &event).await,
            // what was kept by another version
            Ok(Told::Unknown { .. }) => Err(corrupt("it is of a kind that is not known".into())),
            Ok(Told::Unusable { reason, .. }) | Err(EventError(reason)) => Err(corrupt(reason)),
        };
        match done {
            Ok(()) => dealt_with += 1,
            Err(error) => note_failure(services, &event_id, waiting.attempts, &error).await?,
        }
    }
    Ok(dealt_with)
}

fn corrupt(reason: String) -> IntakeError {
    IntakeError::Storage(StorageError::Corrupt(reason))
}

/// Takes an event into the mirror and out of the inbox, in one transaction.
async fn process(services: &Services, request: &RequestInfo, event: &Event) -> std::result::Result<(), IntakeError> {
    let actor = ActorRecord {
        actor_type: "webhook".into(),
        // the column's
        actor_id: event.id.chars().take(64).collect(),
        actor_email: None,
        name: "ScaiKey".into(),
    };
    let source = Source { actor, request: request.clone(), at: event.at };
    transaction!({
        let mut intake = Intake::begin(services, &source).await?;
        if inbox::lock(&mut intake.tx, &event.id).await?.is_some() {
            take_in(&mut intake, &event.happened).await?;
            inbox::hurry(&mut intake.tx).await?;
            inbox::end(&mut intake.tx, &event.id).await?;
        }
        intake.commit().await
    })
}

async fn take_in(intake: &mut Intake<'_>, happened: &Happened) -> std::result::Result<(), IntakeError> {
    let nothing = Made::default();
    match happened {
        Happened::Partner(said) => known(intake.partners(std::slice::from_ref(said)).await?),
        Happened::Tenant(said) => known(intake.tenants(std::slice::from_ref(said), &nothing).await?),
        Happened::User(said) => known(intake.users(std::slice::from_ref(said), &nothing).await?),
        Happened::Group(said) => known(intake.groups(std::slice::from_ref(said), &nothing).await?),
        Happened::Membership { group, member, belongs } => intake.membership(group, member, *belongs).await.map(drop),
        Happened::Assignment { application, assignee, belongs, user } => {
            if let Some(said) = user {
                known(intake.user_in_passing(said).await?)?;
            }
            intake.assignment(application, assignee, *belongs).await.map(drop)
        }
    }
}

/// An event about what belongs to something unknown waits until that is known.
fn known<T>(steps: Vec<Step<T>>) -> std::result::Result<(), IntakeError> {
    for step in steps {
        match step {
            Step::Homeless(id) => return Err(IntakeError::Homeless(id)),
            Step::Create(_) | Step::Update { .. } | Step::Unchanged(_) | Step::Old => {}
        }
    }
    Ok(())
}

async fn note_failure(services: &Services, event_id: &str, attempts: u32, error: &IntakeError) -> Result<()> {
    let is_last = attempts + 1 >= ATTEMPTS_MAX;
    let pause = (1 << attempts.min(16)).min(PAUSE_MAX_SECONDS);
    match is_last {
        true => tracing::error!(event_id, %error, "an event of ScaiKey is given up; a sync mends what it said"),
        false => tracing::warn!(event_id, %error, attempts, "an event of ScaiKey is tried again"),
    }
    let reason = error.to_string();
    Ok(within_write(inbox::note_failure(&services.db, event_id, &reason, (!is_last).then_some(pause))).await?)
}

fn shown(error: &IntakeError) -> String {
    match error {
        IntakeError::Homeless(_) => error.to_string(),
        IntakeError::Storage(_) => "the database is busy".into(),
    }
}

/// With its id and time, which it may have from elsewhere: the worker has nothing but this.
fn stored(body: &[u8], event: &Event) -> Result<String> {
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|error| Error::Internal(error.to_string()))?;
    let at = event.at.format(&time::format_description::well_known::Rfc3339);
    fields.insert("event_id".into(), event.id.clone().into());
    fields.insert("event_type".into(), event.event_type.clone().into());
    fields.insert("timestamp".into(), at.map_err(|error| Error::Internal(error.to_string()))?.into());
    Ok(serde_json::Value::Object(fields).to_string())
}
