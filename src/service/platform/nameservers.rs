//! The platform's nameservers as its admin reads and sets them. Setting them starts the job that brings them into every
//! zone: [`super::rewrite`].

use serde_json::{json, to_value};
use time::OffsetDateTime;

use crate::authz::{Permission, Target, Visibility, decide};
use crate::dns::ZoneName;
use crate::ids::JobId;
use crate::storage::platform_settings;
use crate::storage::{StorageError, audit as audit_log, jobs as jobs_stored, within, within_write};

use super::super::context::ActorRecord;
use super::super::jobs::{self, JobRequest, RequestedBy};
use super::super::{Context, Error, Result, Services, audit};
use super::config::{ACTION, resource};
use super::nameserver_set::{Kept, NameserverSet};
use super::rewrite::{KIND, Parameters};

/// The row that has them.
pub(super) const NAME: &str = "nameservers";
/// As many as a delegation can have in an answer of 512 octets.
const NAMESERVERS_MAX: usize = 13;
/// Of those that they have been before, the newest.
const FORMER_MAX: usize = 200;

/// The nameservers as they stand.
#[derive(Debug)]
pub struct Nameservers {
    pub names: Vec<String>,
    pub updated_at: Option<OffsetDateTime>,
    pub updated_by: Option<String>,
}

pub async fn get(services: &Services, context: &Context) -> Result<Nameservers> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    Ok(standing(&*services.platform.fresh().await?))
}

fn standing(settings: &super::PlatformSettings) -> Nameservers {
    let row = settings.rows.iter().find(|row| row.name == NAME);
    Nameservers {
        names: settings.nameservers.names.clone(),
        updated_at: row.and_then(|row| row.updated_at),
        updated_by: row.and_then(|row| row.updated_by.clone()),
    }
}

/// Puts these in place of those that were, for every zone: new ones have them at once, the others get them by the job.
/// The same ones again have every zone looked at once more.
pub async fn put(services: &Services, context: &Context, names: &[String]) -> Result<(Nameservers, JobId)> {
    decide(&context.caller, Permission::PlatformManage, Target::Platform)?;
    let names = checked(names)?;
    let job = JobId(context.request.new_object());
    if !was_put(services, context, job).await? {
        let written = within_write(async { Ok(write(services, context, names, job).await) }).await;
        // also where the outcome is not known
        services.platform.forget();
        written??;
    }
    Ok((standing(&*services.platform.fresh().await?), job))
}

/// Whether an earlier request, of which this is the repetition, has put them and could not say so.
async fn was_put(services: &Services, context: &Context, job: JobId) -> Result<bool> {
    if !context.request.is_repeated() {
        return Ok(false);
    }
    Ok(within(jobs_stored::find(&services.db, &Visibility::system(), job)).await?.is_some())
}

async fn write(services: &Services, context: &Context, names: Vec<String>, job: JobId) -> Result<()> {
    let mut tx = services.db.begin().await?;
    let row = platform_settings::lock(&mut tx, NAME).await?;
    let NameserverSet { names: before, version: _, mut former } = NameserverSet::read(&services.config, Some(&row));
    former.retain(|name| !before.contains(name));
    former.extend(before.iter().cloned());
    former.retain(|name| !names.contains(name));
    former.drain(..former.len().saturating_sub(FORMER_MAX));
    let by = RequestedBy::from(context);
    let now = services.clock.now();
    let values = (json!({ "nameservers": before }), json!({ "nameservers": names, "job_id": job.to_string() }));
    let kept = to_value(Kept { names, former }).map_err(|error| Error::Internal(error.to_string()))?;
    let row =
        platform_settings::put(&mut tx, row, kept, &ActorRecord::from(&context.caller.actor).actor_id, now).await?;
    let parameters =
        to_value(Parameters { version: row.version }).map_err(|error| Error::Internal(error.to_string()))?;
    let request = JobRequest { id: job, kind: KIND, tenant: None, zone: None, parameters, total: None };
    jobs::create(&mut tx, &by, request).await?;
    let entry = audit::entry(&by.actor, &context.request, None, ACTION, resource(NAME), values, now);
    audit_log::append(&mut tx, None, &[entry]).await?;
    tx.commit().await.map_err(StorageError::from)?;
    Ok(())
}

/// Host names, as they are kept.
fn checked(texts: &[String]) -> Result<Vec<String>> {
    let wrong = |message: String| Err(Error::invalid("nameservers", message));
    if texts.is_empty() || texts.len() > NAMESERVERS_MAX {
        let message = format!("must have from 1 to {NAMESERVERS_MAX} entries");
        return Err(Error::schema(&["body", "nameservers"], message));
    }
    let mut names: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        let name = match ZoneName::parse(text) {
            Ok(name) if is_host(name.as_str()) => name.as_str().to_owned(),
            Ok(name) => return wrong(format!("{name} is no host name: letters, digits and hyphens only")),
            Err(error) => return wrong(format!("{text:?} is no host name: {error}")),
        };
        if names.contains(&name) {
            return wrong(format!("{name} is there twice"));
        }
        names.push(name);
    }
    Ok(names)
}

fn is_host(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_into_one_form_and_wrong_ones_are_named() {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let names = checked(&owned(&["NS1.Example.com.", "ns.müller.example"])).expect("valid");
        assert_eq!(names, ["ns1.example.com", "ns.xn--mller-kva.example"]);
        for (wrong, word) in [
            (owned(&[]), "from 1 to 13"),
            (owned(&["ns1.example.com", "NS1.example.com."]), "twice"),
            (owned(&["ns1"]), "ns1"),
            (owned(&["192.0.2.1"]), "192.0.2.1"),
            (owned(&["n_s.example.com"]), "n_s.example.com"),
            (owned(&["ns1 .example.com"]), "ns1 .example.com"),
            ((0..14).map(|n| format!("ns{n}.example.com")).collect(), "from 1 to 13"),
        ] {
            let error = checked(&wrong).expect_err("refused").to_string();
            assert!(error.contains(word), "{wrong:?}: {error}");
        }
    }
}
