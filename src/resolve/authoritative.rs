//! Asking every server of a zone directly: in rounds, so that one dead or hostile server cannot use up what the
//! others need.
//!
//! In each round every server that has not answered yet is asked once, all in parallel. One server's turn comes in
//! this order: its first IPv4 address, its first IPv6 address, their seconds; then again those that were silent
//! (without EDNS, which some servers choke on); then those over TCP. IPv6 addresses are looked up only when IPv4 was
//! of no use: for 13 servers, two families and the questions themselves would exceed the packets. The first address
//! that answers speaks for its server.
//!
//! Never here: what the answers amount to.

use std::collections::VecDeque;

use futures::StreamExt;
use futures::stream;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::ResolveSettings;
use super::budget::{ADDRESSES_PER_FAMILY_MAX, Budget, NAMESERVERS_MAX, UDP_WAIT};
use super::cut::Cut;
use super::exchange::{Question, Server, Silence, ask, ask_tcp};
use super::recursive::Recursive;

/// Servers asked at once: all of them, since a round is as slow as its slowest.
const SERVERS_IN_PARALLEL: usize = NAMESERVERS_MAX;

/// What asking needs.
pub struct Asker<'a> {
    pub settings: &'a ResolveSettings,
    pub budget: &'a Budget,
    pub recursive: &'a Recursive<'a>,
}

impl Asker<'_> {
    /// What each server of the zone says to the question, as `read` finds it in an answer that is not lame; those that
    /// stay silent are left out.
    pub async fn ask_all<A>(
        &self,
        cut: &Cut,
        asked: (&Name, RecordType),
        read: &impl Fn(&Message) -> Option<A>,
    ) -> Vec<(Name, A)> {
        let mut waiting: Vec<Nameserver> = cut.nameservers.iter().cloned().map(Nameserver::new).collect();
        let mut answers = Vec::new();
        while !waiting.is_empty() && !self.budget.is_spent() {
            let round: Vec<Turn<A>> = stream::iter(waiting)
                .map(|nameserver| self.take_turn(nameserver, asked, read))
                .buffer_unordered(SERVERS_IN_PARALLEL)
                .collect()
                .await;
            waiting = Vec::new();
            for turn in round {
                match turn {
                    Turn::Answered(server, answer) => answers.push((server, answer)),
                    Turn::Silent(nameserver) => waiting.push(nameserver),
                    Turn::GivenUp => {}
                }
            }
        }
        answers
    }

    /// One question to one server, after the look-ups of addresses that it takes to get there.
    async fn take_turn<A>(
        &self,
        mut nameserver: Nameserver,
        asked: (&Name, RecordType),
        read: &impl Fn(&Message) -> Option<A>,
    ) -> Turn<A> {
        loop {
            let Some(step) = nameserver.steps.pop_front() else {
                return Turn::GivenUp;
            };
            let heard = match step {
                Step::LookUp(record_type) => {
                    let addresses = self.addresses_of(&nameserver.name, record_type).await;
                    nameserver.learn(addresses);
                    continue;
                }
                Step::Udp(server) => ask(self.budget, server, &question(asked, true), UDP_WAIT).await,
                Step::UdpAgain(server) => ask(self.budget, server, &question(asked, false), UDP_WAIT).await,
                Step::Tcp(server) => ask_tcp(self.budget, server, &question(asked, false)).await,
            };
            if let Ok(message) = &heard
                && let Some(answer) = read(message)
            {
                return Turn::Answered(nameserver.name, answer);
            }
            if heard == Err(Silence::Spent) {
                return Turn::GivenUp;
            }
            nameserver.plan_after(step, &heard);
            return Turn::Silent(nameserver);
        }
    }

    /// The addresses of a nameserver that may be asked, at most two, in the order of their value: the resolver's
    /// order changes from answer to answer, and two checks should ask the same servers.
    async fn addresses_of(&self, nameserver: &Name, record_type: RecordType) -> Vec<Server> {
        let Some(message) = self.recursive.look_up(nameserver, record_type).await else {
            return Vec::new();
        };
        // The owner is not compared: a nameserver's name that is an alias is wrong (RFC 2181, 10.3) but works.
        let mut addresses: Vec<std::net::IpAddr> = message
            .answers
            .iter()
            .filter_map(|record| match (&record.data, record_type) {
                (RData::A(a), RecordType::A) => Some(a.0.into()),
                (RData::AAAA(aaaa), RecordType::AAAA) => Some(aaaa.0.into()),
                _ => None,
            })
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
            .into_iter()
            .filter_map(|address| Server::nameserver(self.settings, address))
            .take(ADDRESSES_PER_FAMILY_MAX)
            .collect()
    }
}

/// A server that has not answered yet, and what is still to be tried with it.
struct Nameserver {
    name: Name,
    steps: VecDeque<Step>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    LookUp(RecordType),
    Udp(Server),
    UdpAgain(Server),
    Tcp(Server),
}

enum Turn<A> {
    Answered(Name, A),
    Silent(Nameserver),
    GivenUp,
}

impl Nameserver {
    fn new(name: Name) -> Self {
        Self { name, steps: VecDeque::from([Step::LookUp(RecordType::A), Step::LookUp(RecordType::AAAA)]) }
    }

    /// The first address of a family is asked at once, the others when the families' first have been.
    fn learn(&mut self, addresses: Vec<Server>) {
        let mut addresses = addresses.into_iter().map(Step::Udp);
        if let Some(first) = addresses.next() {
            self.steps.push_front(first);
        }
        self.steps.extend(addresses);
    }

    /// Each address is tried three times at most, so the steps come to an end.
    fn plan_after(&mut self, step: Step, heard: &Result<Message, Silence>) {
        let next = match (step, heard) {
            (Step::Udp(server), Err(Silence::TimedOut)) => Some(Step::UdpAgain(server)),
            (Step::Udp(server), Ok(message)) if dislikes_edns(message) => Some(Step::UdpAgain(server)),
            (Step::Udp(server) | Step::UdpAgain(server), Err(_)) => Some(Step::Tcp(server)),
            // A lame answer: the same server says the same again.
            (Step::Udp(_) | Step::UdpAgain(_), Ok(_)) => None,
            (Step::Tcp(_) | Step::LookUp(_), _) => None,
        };
        self.steps.extend(next);
    }
}

fn question((name, record_type): (&Name, RecordType), edns: bool) -> Question {
    Question { name: name.clone(), record_type, recursion_desired: false, edns, dnssec_ok: false }
}

fn dislikes_edns(message: &Message) -> bool {
    matches!(message.metadata.response_code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS)
}
