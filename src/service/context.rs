//! The operation context: who asks, and with which request. The first argument of every use case.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::authz::{Actor, Caller};

use super::entity_tag::Expected;
use super::idempotency::Run;

/// What is known of the request that led to an operation, for the audit log and the zone's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestInfo {
    pub request_id: String,
    pub ip_address: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// Where the request may be repeated: the key it runs under.
    #[serde(skip)]
    pub run: Option<Run>,
    /// What the client wants to change, as it last saw it: else nothing is written.
    #[serde(skip)]
    pub expected: Option<Expected>,
}

impl RequestInfo {
    /// For work that no request asked for.
    pub fn none() -> Self {
        Self {
            request_id: crate::ids::RequestId::new().to_string(),
            ip_address: None,
            user_agent: None,
            run: None,
            expected: None,
        }
    }
}

impl RequestInfo {
    /// An id for a new object. Under a key it is the one that an earlier request would have given it.
    pub fn new_object(&self) -> uuid::Uuid {
        self.run.as_ref().map_or_else(crate::clock::new_id, Run::next_object)
    }

    /// Whether an object of that id may have been made by an earlier request under the key.
    pub fn is_repeated(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_resumed)
    }
}

/// A caller and its request.
#[derive(Clone, Debug)]
pub struct Context {
    pub caller: Caller,
    pub request: RequestInfo,
}

/// The actor as history and audit keep it: plain values that outlive the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRecord {
    pub actor_type: String,
    pub actor_id: String,
    pub actor_email: Option<String>,
    pub name: String,
}

impl From<&Actor> for ActorRecord {
    fn from(actor: &Actor) -> Self {
        match actor {
            Actor::User { id: _, scaikey_id, email, name } => Self {
                actor_type: "user".into(),
                actor_id: scaikey_id.clone(),
                actor_email: Some(email.clone()),
                name: name.clone(),
            },
            Actor::ApiKey { id, name, owner: _, owner_name: _, email } => Self {
                actor_type: "api_key".into(),
                actor_id: id.to_string(),
                actor_email: email.clone(),
                name: name.clone(),
            },
            Actor::System { name } => {
                Self { actor_type: "system".into(), actor_id: (*name).into(), actor_email: None, name: (*name).into() }
            }
        }
    }
}
