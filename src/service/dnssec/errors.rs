//! Why something was refused, in words for its caller.

use time::OffsetDateTime;

use crate::dns::dnssec::Refused;

use super::super::Error;

/// Where it is not known when a step is through.
const ASK_AGAIN_SECONDS: u32 = 5;

pub fn refused(why: Refused, now: OffsetDateTime) -> Error {
    let too_soon = |code: &'static str, message: &str, until: Option<OffsetDateTime>| Error::TooSoon {
        message: message.to_owned(),
        code,
        retry_after: until.map_or(ASK_AGAIN_SECONDS, |until| seconds_until(until, now)),
    };
    match why {
        Refused::Busy => too_soon("dnssec_busy", "The last step is still on its way to the nameservers", None),
        Refused::PendingDs => {
            Error::conflict("ds_pending", "The DS is not at the parent yet; a rollover begins once it is confirmed")
        }
        Refused::RollingOver { phase, until } => too_soon(
            "rollover_in_progress",
            &format!("Another rollover is under way ({})", phase.as_str().replace('_', " ")),
            until.filter(|until| *until > now),
        ),
        Refused::Removing => Error::conflict("dnssec_disabling", "DNSSEC is being disabled"),
        Refused::Alarm(alarm) => Error::conflict(alarm.code(), alarm.to_string()),
        Refused::NothingToConfirm => Error::conflict("no_ds_awaited", "No DS is waited for"),
        Refused::TooEarly { until } => {
            too_soon("ds_too_early", "The new keys have not reached every cache; the parent must wait for them", until)
        }
        Refused::DsNotFound => {
            Error::conflict("ds_not_found_at_parent", "The DS was not found at every nameserver of the parent")
        }
        Refused::OldDsStillPublished => Error::conflict(
            "old_ds_still_published",
            "The parent still has the DS of the old algorithm; the new one must replace it",
        ),
        Refused::DsStillPublished => Error::conflict(
            "ds_still_published",
            "The parent still has a DS of this domain; without its keys the domain would not resolve any more",
        ),
        Refused::DsStillCached { until } => {
            too_soon("ds_still_cached", "The DS has left the parent, and may still be cached by resolvers", Some(until))
        }
        Refused::ParentUnknown => Error::conflict(
            "parent_unreachable",
            "Not every nameserver of the parent answers, so it is not known whether it has a DS",
        ),
    }
}

/// Rounded up, so that whoever comes back then is not too early again.
fn seconds_until(until: OffsetDateTime, now: OffsetDateTime) -> u32 {
    u32::try_from((until - now).whole_seconds() + 1).unwrap_or(1).max(1)
}
