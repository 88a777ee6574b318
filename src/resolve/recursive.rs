//! Look-ups through the operator's recursive resolvers, remembered for the length of one proof.
//!
//! Never here: authoritative servers; a cache that outlives the proof (a tenant who has just added the record must
//! not be told of yesterday).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::sync::Mutex;

use super::ResolveSettings;
use super::budget::{Budget, RECURSIVE_WAIT};
use super::exchange::{Question, Server, Silence, ask};

/// Times that the list of resolvers is gone through, as long as none of them has answered anything.
const PASSES_MAX: usize = 2;

/// An answer that is NOERROR or NXDOMAIN; `None` where no resolver has one.
type Found = Option<Arc<Message>>;

/// The recursive resolvers as one proof sees them.
pub struct Recursive<'a> {
    settings: &'a ResolveSettings,
    budget: &'a Budget,
    /// Index of the resolver that answered last: a dead one costs its time-out once, not at each look-up.
    preferred: AtomicUsize,
    seen: Mutex<HashMap<(Name, RecordType), Found>>,
}

impl<'a> Recursive<'a> {
    pub fn new(settings: &'a ResolveSettings, budget: &'a Budget) -> Self {
        Self { settings, budget, preferred: AtomicUsize::new(0), seen: Mutex::default() }
    }

    /// Asks the resolvers in turn, unless the proof has asked the same before.
    pub async fn look_up(&self, name: &Name, record_type: RecordType) -> Found {
        let key = (name.clone(), record_type);
        if let Some(known) = self.seen.lock().await.get(&key) {
            return known.clone();
        }
        let found = self.ask_in_turn(name, record_type).await.map(Arc::new);
        self.seen.lock().await.insert(key, found.clone());
        found
    }

    async fn ask_in_turn(&self, name: &Name, record_type: RecordType) -> Option<Message> {
        let resolvers = &self.settings.resolvers;
        let first = self.preferred.load(Ordering::Relaxed);
        for pass in 0..PASSES_MAX {
            let mut answered = false;
            for step in 0..resolvers.len() {
                let index = (first + step) % resolvers.len();
                let (name, edns) = (name.clone(), pass == 0);
                let question = Question { name, record_type, recursion_desired: true, edns, dnssec_ok: false };
                match ask(self.budget, Server::resolver(resolvers[index]), &question, RECURSIVE_WAIT).await {
                    Ok(message) if is_definite(&message) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Some(message);
                    }
                    Ok(_) => answered = true,
                    Err(Silence::TimedOut | Silence::Refused) => {}
                    Err(Silence::Spent) => return None,
                }
            }
            // Whoever answers SERVFAIL or REFUSED does so again a second later.
            if answered {
                return None;
            }
        }
        None
    }
}

fn is_definite(message: &Message) -> bool {
    matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}
