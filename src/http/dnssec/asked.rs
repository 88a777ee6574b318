//! What callers say, read.

use serde_json::Value;

use crate::dns::dnssec::Ds;
use crate::service::Error;
use crate::service::dnssec::DsClaim;
use crate::storage::signing::SignedFilter;

use super::bodies::Confirm;

/// More DS records than anybody has at a parent.
const DS_CLAIMED_MAX: usize = 50;

pub(super) fn filter(state: Option<&str>) -> Result<SignedFilter, Error> {
    match state {
        None => Ok(SignedFilter::All),
        Some("due") => Ok(SignedFilter::Due),
        Some("waiting") => Ok(SignedFilter::Waiting),
        Some("stuck") => Ok(SignedFilter::Stuck),
        Some(_) => Err(Error::invalid("state", "must be due, waiting or stuck")),
    }
}

pub(super) fn claim(body: Confirm) -> Result<DsClaim, Error> {
    let Confirm { key_tag, ds_records, force } = body;
    let claimed = ds_records.unwrap_or_default();
    if claimed.len() > DS_CLAIMED_MAX {
        let message = format!("must have at most {DS_CLAIMED_MAX} entries");
        return Err(Error::schema(&["body", "ds_records"], message));
    }
    let ds = claimed.iter().map(claimed_ds).collect::<Result<_, _>>()?;
    Ok(DsClaim { key_tag, ds, force })
}

/// As a record's content, or as its parts; what else is in an object, such as our own `action`, is not looked at.
fn claimed_ds(value: &Value) -> Result<Ds, Error> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Object(parts) => {
            let part = |name: &str| match parts.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            ["key_tag", "algorithm", "digest_type", "digest"].map(part).join(" ")
        }
        _ => String::new(),
    };
    text.parse().map_err(|_| Error::invalid("ds_records", "has an entry that is not a valid DS record"))
}
