//! Webhooks as ScaiKey sends them: their signature, and what they say. Pure.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::tenancy::Standing;

use super::statement::{Member, PartnerStatement, Statement, TenantStatement, UserGroupStatement, UserStatement, Wire};
use super::token::is_scaikey_id;

/// How old a signature may be, or how far ahead.
const FRESHNESS_SECONDS: u64 = 300; // contract

/// Signatures of one header that are looked at: a sender that rotates its secret sends two.
const SIGNATURES_MAX: usize = 4;

/// What the inbox's column holds.
const EVENT_ID_CHARACTERS_MAX: usize = 128;
/// Longer than any that is known; of one that is not, no more is said again.
const EVENT_TYPE_CHARACTERS_MAX: usize = 64;

/// Why a body is no event at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EventError(pub String);

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub event_type: String,
    /// When it happened, by ScaiKey's clock.
    pub at: OffsetDateTime,
    pub happened: Happened,
}

/// What a body says.
#[derive(Clone, Debug)]
pub enum Told {
    Event(Event),
    /// Of a kind that is not known here, whatever else it says.
    Unknown {
        id: String,
        event_type: String,
    },
    /// Of a known kind, and nothing can be done with it, however often it is read.
    Unusable {
        id: String,
        event_type: String,
        reason: String,
    },
}

#[derive(Clone, Debug)]
pub enum Happened {
    Partner(PartnerStatement),
    Tenant(TenantStatement),
    User(UserStatement),
    Group(UserGroupStatement),
    /// A member came or went.
    Membership {
        group: String,
        member: Member,
        belongs: bool,
    },
    /// Somebody may use an application, or no longer. What is said of a user on the way is heard, too.
    Assignment {
        application: String,
        assignee: Member,
        belongs: bool,
        user: Option<UserStatement>,
    },
}

/// `t=<unix>,v1=<lower-case hexadecimal>` over `{t}.` and the body as it came. Every secret and every signature is
/// compared, in constant time.
pub fn check_signature(header: &str, body: &[u8], secrets: &[SecretString], now: OffsetDateTime) -> bool {
    let mut moment = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) if moment.is_none() => moment = Some(text),
            // which of two is signed cannot be told
            Some(("t", _)) => return false,
            Some(("v1", text)) if signatures.len() < SIGNATURES_MAX => signatures.extend(lower_hex(text)),
            _ => {}
        }
    }
    let Some(text) = moment.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())) else { return false };
    let Ok(signed_at) = text.parse::<i64>() else { return false };
    if now.unix_timestamp().abs_diff(signed_at) > FRESHNESS_SECONDS {
        return false;
    }
    let mut is_good = false;
    for secret in secrets {
        // an HMAC takes a key of any length
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { continue };
        mac.update(text.as_bytes());
        mac.update(b".");
        mac.update(body);
        for signature in &signatures {
            is_good |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    is_good
}

fn lower_hex(text: &str) -> Option<Vec<u8>> {
    let is_lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_lower.then(|| hex::decode(text).ok()).flatten()
}

impl Event {
    /// Reads a body whose signature was good. `header_id` and `header_type` stand in for what it does not say itself,
    /// `received_at` for its time.
    pub fn parse(
        body: &[u8],
        header_id: Option<&str>,
        header_type: Option<&str>,
        received_at: OffsetDateTime,
    ) -> Result<Told, EventError> {
        let fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| EventError(format!("no JSON object: {error}")))?;
        let envelope = Envelope { all: Wire(fields) };
        let event_type = envelope.all.text("event_type").or_else(|| header_type.map(str::to_owned));
        let event_type = event_type.ok_or_else(|| EventError("event_type is missing".into()))?;
        let id = envelope.all.text("event_id").or_else(|| header_id.map(str::to_owned)).unwrap_or_default();
        let id = match id.as_str() {
            word if is_word(word, EVENT_ID_CHARACTERS_MAX) => id,
            // told again it is the same body
            blank if blank.trim().is_empty() => digest(body),
            // what the inbox cannot hold as it is
            odd => digest(odd.as_bytes()),
        };
        let at = match envelope.all.0.get("timestamp") {
            None | Some(Value::Null) => Some(received_at),
            Some(value) => moment(value),
        };
        Ok(match (envelope.happened(&event_type), at) {
            (Ok(Some(happened)), Some(at)) => Told::Event(Self { id, event_type, at, happened }),
            (Ok(Some(_)), None) => Told::Unusable { id, event_type, reason: "its timestamp is malformed".into() },
            (Err(reason), _) => Told::Unusable { id, event_type, reason },
            (Ok(None), _) => {
                let event_type = event_type.chars().take(EVENT_TYPE_CHARACTERS_MAX).collect();
                Told::Unknown { id, event_type }
            }
        })
    }
}

/// The body, with ways to find what is looked for in its several places.
struct Envelope {
    all: Wire,
}

impl Envelope {
    /// None: of a kind that is not known.
    fn happened(&self, event_type: &str) -> Result<Option<Happened>, String> {
        let Some((kind, verb)) = event_type.split_once('.') else { return Ok(None) };
        let standing = match verb {
            "created" | "updated" => None,
            "deleted" => Some(Standing::Inactive),
            "suspended" => Some(Standing::Suspended),
            "activated" => Some(Standing::Active),
            _ => None,
        };
        Ok(Some(match (kind, verb) {
            ("partner", "created" | "updated" | "deleted") => {
                let mut said = PartnerStatement::from_wire(&self.entity(kind)?).ok_or_else(|| no_id(kind))?;
                said.status = standing.or(said.status).or_else(|| if_created(verb));
                Happened::Partner(said)
            }
            ("tenant", "created" | "updated" | "deleted") => {
                let mut said = TenantStatement::from_wire(&self.entity(kind)?).ok_or_else(|| no_id(kind))?;
                // contract: a tenant that is deleted is suspended
                let standing = standing.map(|_| Standing::Suspended);
                said.status = standing.or(said.status).or_else(|| if_created(verb));
                said.partner = said.partner.or_else(|| self.all.reference("partner"));
                Happened::Tenant(said)
            }
            ("user", "created" | "updated" | "deleted" | "suspended" | "activated") => {
                let mut said = UserStatement::from_wire(&self.entity(kind)?).ok_or_else(|| no_id(kind))?;
                said.status = standing.or(said.status).or_else(|| if_created(verb));
                said.tenant = said.tenant.or_else(|| self.all.reference("tenant"));
                Happened::User(said)
            }
            ("group", "created" | "updated" | "deleted") => {
                let mut said = UserGroupStatement::from_wire(&self.entity(kind)?).ok_or_else(|| no_id(kind))?;
                said.status = standing.or(said.status).or_else(|| if_created(verb));
                said.tenant = said.tenant.or_else(|| self.all.reference("tenant"));
                Happened::Group(said)
            }
            ("group", "member_added" | "member_removed") => Happened::Membership {
                group: self.id_of("group", "grp_").ok_or_else(|| no_id("group"))?,
                member: self.member()?,
                belongs: verb == "member_added",
            },
            ("application", "user_assigned" | "user_unassigned" | "group_assigned" | "group_unassigned") => {
                let data = self.data();
                let user = data.0.get("user").and_then(Value::as_object).cloned().map(Wire);
                Happened::Assignment {
                    application: self.id_of("application", "app_").ok_or_else(|| no_id("application"))?,
                    assignee: match verb.starts_with("user") {
                        true => Member::User(self.id_of("user", "usr_").ok_or_else(|| no_id("user"))?),
                        false => Member::Group(self.id_of("group", "grp_").ok_or_else(|| no_id("group"))?),
                    },
                    belongs: !verb.ends_with("unassigned"),
                    user: user.and_then(|wire| UserStatement::from_wire(&wire)).map(|said| {
                        let beside = || data.reference("tenant").or_else(|| self.all.reference("tenant"));
                        UserStatement { tenant: said.tenant.or_else(beside), ..said }
                    }),
                }
            }
            _ => return Ok(None),
        }))
    }

    fn data(&self) -> Wire {
        Wire(self.all.0.get("data").and_then(Value::as_object).cloned().unwrap_or_default())
    }

    /// What is said of the thing itself: `data`, or what is nested in it, with its id wherever that stands.
    fn entity(&self, kind: &str) -> Result<Wire, String> {
        let Wire(mut fields) = self.data();
        if let Some(Value::Object(nested)) = fields.get(kind) {
            // what is beside it may say whose it is
            let nested = nested.clone();
            fields.extend(nested);
        }
        let id = self.id_of(kind, "").ok_or_else(|| no_id(kind))?;
        fields.insert("id".into(), Value::String(id));
        Ok(Wire(fields))
    }

    /// `data.id`, `data.{kind}_id`, `data.{kind}.id`, `resource.id`; of those the first that has this form.
    fn id_of(&self, kind: &str, prefix: &str) -> Option<String> {
        let data = self.data();
        let resource = Wire(self.all.0.get("resource").and_then(Value::as_object).cloned().unwrap_or_default());
        let resource = resource.text("type").is_none_or(|text| text == kind).then(|| resource.id("id")).flatten();
        let named = [data.id(&format!("{kind}_id")), data.reference(kind)];
        let plain = data.id("id");
        // where several things are spoken of, the name says which is meant; else it is the one that is spoken of
        let (first, second) = if prefix.is_empty() { ([plain, None], named) } else { (named, [plain, None]) };
        first
            .into_iter()
            .chain(second)
            .chain([resource])
            .flatten()
            .find(|id| id.starts_with(prefix) && is_scaikey_id(id))
    }

    fn member(&self) -> Result<Member, String> {
        let data = self.data();
        if let Some(group) =
            data.id("member_group_id").or_else(|| data.reference("member").filter(|id| id.starts_with("grp_")))
        {
            return Ok(Member::Group(group));
        }
        let user = self.id_of("user", "usr_").or_else(|| data.reference("member"));
        user.map(Member::User).ok_or_else(|| no_id("user"))
    }
}

fn if_created(verb: &str) -> Option<Standing> {
    (verb == "created").then_some(Standing::Active)
}

fn no_id(kind: &str) -> String {
    format!("it names no {kind}")
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn is_word(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// ISO 8601, with or without an offset (then UTC), or seconds since 1970.
fn moment(value: &Value) -> Option<OffsetDateTime> {
    let found = match value {
        Value::Number(number) => {
            let seconds = number.as_f64()?;
            (0.0..253_402_300_799.0).contains(&seconds).then_some(())?;
            OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e9) as i128).ok()
        }
        Value::String(text) => OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| naive(text)),
        _ => None,
    }?;
    let utc = found.checked_to_offset(time::UtcOffset::UTC)?;
    // the column's range; it keeps microseconds, and what is compared is what was kept
    (1970..=9998).contains(&utc.year()).then(|| utc.replace_nanosecond(utc.microsecond() * 1_000).ok()).flatten()
}

fn naive(text: &str) -> Option<OffsetDateTime> {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond digits:1+]]]");
    PrimitiveDateTime::parse(text, format).ok().map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("a moment")
    }

    fn sign(secret: &str, t: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(format!("{t}.").as_bytes());
        mac.update(body);
        hex::encode(mac.finalize().into_bytes())
    }

    fn told(body: &Value) -> Told {
        Event::parse(body.to_string().as_bytes(), None, None, now()).expect("an event")
    }

    fn event(body: Value) -> Event {
        match told(&body) {
            Told::Event(event) => event,
            other => panic!("{other:?} of {body}"),
        }
    }

    #[test]
    fn a_signature_is_good_for_this_body_and_this_moment_under_one_of_the_secrets() {
        let secrets = ["new".to_owned().into(), SecretString::from("old".to_owned())];
        let t = now().unix_timestamp();
        let check = |header: &str, body: &[u8]| check_signature(header, body, &secrets, now());
        for secret in ["new", "old"] {
            let v1 = sign(secret, t, b"{}");
            assert!(check(&format!("t={t},v1={v1}"), b"{}"));
            assert!(
                check(&format!("t={t}, v0=x, v1={}, v1={v1}", sign("other", t, b"{}")), b"{}"),
                "two of a rotation"
            );
            assert!(!check(&format!("t={t},v1={v1}"), b"{ }"), "the body is signed as it came");
            assert!(!check(&format!("t={},v1={v1}", t + 1), b"{}"), "the moment is signed");
            assert!(!check(&format!("t={t},t={t},v1={v1}"), b"{}"));
            assert!(!check(&format!("t={t},v1={}", v1.to_uppercase()), b"{}"));
            for bad in [format!("t={t}"), format!("v1={v1}"), format!("t={t},v0={v1}"), v1.clone(), String::new()] {
                assert!(!check(&bad, b"{}"), "{bad}");
            }
        }
        for (age, is_good) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let header = format!("t={},v1={}", t - age, sign("new", t - age, b"{}"));
            assert_eq!(check(&header, b"{}"), is_good, "{age}");
        }
        assert!(!check_signature(&format!("t={t},v1={}", sign("", t, b"{}")), b"{}", &[], now()));
    }

    #[test]
    fn ids_are_found_in_each_of_their_places() {
        for data in [
            json!({"data": {"id": "usr_1"}}),
            json!({"data": {"user_id": "usr_1"}}),
            json!({"data": {"user": {"id": "usr_1"}}}),
            json!({"data": {}, "resource": {"type": "user", "id": "usr_1"}}),
            json!({"resource": {"id": "usr_1"}}),
        ] {
            let mut body = data.clone();
            body["event_type"] = json!("user.suspended");
            body["tenant_id"] = json!("tnt_1");
            let Happened::User(user) = event(body).happened else { panic!("{data}") };
            assert_eq!((user.id.as_str(), user.tenant.as_deref()), ("usr_1", Some("tnt_1")));
            assert_eq!(user.status, Some(Standing::Suspended));
        }
        for tenant in [json!({"tenant_id": "tnt_1"}), json!({"tenant": {"id": "tnt_1"}})] {
            let mut data = tenant;
            data["id"] = json!("usr_1");
            let read = event(json!({"event_type": "user.created", "data": data}));
            let Happened::User(user) = read.happened else { panic!("a user") };
            assert_eq!((user.tenant.as_deref(), user.status), (Some("tnt_1"), Some(Standing::Active)));
        }
    }

    #[test]
    fn a_membership_names_both() {
        for data in [
            json!({"group_id": "grp_1", "user_id": "usr_1"}),
            json!({"id": "grp_1", "user_id": "usr_1"}),
            json!({"group": {"id": "grp_1"}, "user": {"id": "usr_1"}}),
        ] {
            let read = event(json!({"event_type": "group.member_added", "data": data}));
            let Happened::Membership { group, member, belongs } = read.happened else { panic!("{data}") };
            assert_eq!((group.as_str(), member, belongs), ("grp_1", Member::User("usr_1".into()), true));
        }
        let nested = json!({"group_id": "grp_1", "member_group_id": "grp_2"});
        let read = event(json!({"event_type": "group.member_removed", "data": nested}));
        assert!(matches!(read.happened, Happened::Membership { member: Member::Group(_), belongs: false, .. }));
    }

    #[test]
    fn what_is_not_known_is_ignored_whatever_it_says_and_what_is_no_event_is_not() {
        for unknown in [
            json!({"event_type": "invoice.paid", "data": 7}),
            json!({"event_type": "user.danced"}),
            json!({"event_type": "invoice.paid", "timestamp": "soon", "event_id": "a b"}),
            json!({"event_type": ""}),
            json!({"event_type": "x".repeat(10_000)}),
        ] {
            assert!(matches!(told(&unknown), Told::Unknown { .. }), "{unknown}");
        }
        let parse = |body: &str, header| Event::parse(body.as_bytes(), None, header, now());
        for no_event in [r#"{"data": {}}"#, r#"{"event_type": 7}"#] {
            assert!(parse(no_event, None).is_err(), "{no_event}");
        }
        for no_event in ["[]", "", "7", "{\"data\": 1"] {
            assert!(parse(no_event, Some("user.created")).is_err(), "{no_event}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_from_what_is_not_known() {
        for (body, said) in [
            (json!({"event_type": "user.updated", "data": {"email": "a@b.c"}}), "it names no user"),
            (json!({"event_type": "user.updated", "data": "usr_1"}), "it names no user"),
            (json!({"event_type": "group.member_added", "data": {"group_id": "grp_1"}}), "it names no user"),
            (
                json!({"event_type": "user.updated", "data": {"id": "usr_1"}, "timestamp": "soon"}),
                "its timestamp is malformed",
            ),
        ] {
            assert!(matches!(told(&body), Told::Unusable { reason, .. } if reason == said), "{body}");
        }
    }

    #[test]
    fn every_event_has_an_id_that_the_inbox_holds_and_the_same_when_it_is_told_again() {
        let of = |id: &str, note: &str| {
            let data = json!({"id": "usr_1", "note": note});
            event(json!({"event_id": id, "event_type": "user.updated", "data": data})).id
        };
        assert_eq!(of("evt_1", "a"), "evt_1");
        for odd in ["an event", "é", &"x".repeat(129)] {
            assert!(of(odd, "a").starts_with("sha256:"), "{odd}");
            assert_eq!(of(odd, "a"), of(odd, "b"), "{odd}: an id is the same in another body");
        }
        assert_ne!(of("an event", "a"), of("an  event", "a"));
        for blank in ["", "  "] {
            assert_eq!(of(blank, "a"), of(blank, "a"));
            assert_ne!(of(blank, "a"), of(blank, "b"), "no id: the body tells");
        }
    }

    #[test]
    fn a_user_that_an_application_speaks_of_is_of_the_tenant_that_is_named_anywhere() {
        for body in [
            json!({"data": {"user": {"tenant_id": "tnt_1"}, "tenant_id": "tnt_2"}, "tenant_id": "tnt_2"}),
            json!({"data": {"user": {}, "tenant_id": "tnt_1"}, "tenant_id": "tnt_2"}),
            json!({"data": {"user": {}, "tenant": {"id": "tnt_1"}}}),
            json!({"data": {"user": {}}, "tenant_id": "tnt_1"}),
        ] {
            let mut body = body;
            body["event_type"] = json!("application.user_assigned");
            body["data"]["application_id"] = json!("app_1");
            body["data"]["user"]["id"] = json!("usr_1");
            let Happened::Assignment { user: Some(user), .. } = event(body.clone()).happened else { panic!("{body}") };
            assert_eq!(user.tenant.as_deref(), Some("tnt_1"), "{body}");
        }
    }

    #[test]
    fn a_moment_is_read_in_every_form_that_is_sent() {
        let is = now();
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.000000+00:00",
            "2023-11-14T22:13:20",
            "2023-11-14T23:13:20+01:00",
        ] {
            assert_eq!(moment(&json!(text)), Some(is), "{text}");
        }
        assert_eq!(moment(&json!(1_700_000_000)), Some(is));
        for bad in [json!("soon"), json!(-1), json!({}), json!("0000-01-01T00:00:00Z")] {
            assert_eq!(moment(&bad), None, "{bad}");
        }
    }
}
