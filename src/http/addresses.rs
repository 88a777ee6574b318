//! How many connections each address holds, so that one of them cannot hold all. A network of the size that a customer
//! gets (a /64 of IPv6) counts as one address; a proxy that is trusted stands for many clients and is not counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

/// The part of an IPv6 address that names a customer's network.
const NETWORK_BITS: u32 = 64;

/// Counts connections; clones count together. It remembers only addresses that hold one.
#[derive(Clone, Debug)]
pub struct Addresses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    uncounted: Vec<IpNet>,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to one connection, given back when it is dropped.
#[derive(Debug)]
pub struct OfAddress(Option<(Addresses, IpAddr)>);

impl Addresses {
    pub fn new(max: usize, uncounted: Vec<IpNet>) -> Self {
        Self(Arc::new(Inner { max, uncounted, held: Mutex::default() }))
    }

    /// None: this address has as many as it may.
    pub fn take(&self, peer: IpAddr) -> Option<OfAddress> {
        let peer = peer.to_canonical();
        if self.0.uncounted.iter().any(|network| network.contains(&peer)) {
            return Some(OfAddress(None));
        }
        let peer = network(peer);
        let mut held = self.held();
        let count = held.entry(peer).or_insert(0);
        if *count >= self.0.max {
            return None;
        }
        *count += 1;
        drop(held);
        Some(OfAddress(Some((self.clone(), peer))))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let Some((addresses, peer)) = &self.0 else { return };
        if let Entry::Occupied(mut count) = addresses.held().entry(*peer) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - NETWORK_BITS))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_what_goes_makes_room() {
        let addresses = Addresses::new(2, Vec::new());
        let held = ["2001:db8::1", "2001:db8::ffff:2"].map(|text| addresses.take(address(text)).expect("room"));
        assert!(addresses.take(address("2001:db8::3")).is_none());
        assert!(addresses.take(address("2001:db8:0:1::3")).is_some(), "another network");
        drop(held);
        assert!(addresses.take(address("2001:db8::3")).is_some());
        assert!(addresses.held().is_empty(), "nobody is remembered who holds nothing");
    }

    #[test]
    fn an_ipv4_address_counts_in_both_its_forms_and_a_trusted_proxy_in_none() {
        let addresses = Addresses::new(1, vec!["192.0.2.0/24".parse().expect("a network")]);
        let one = addresses.take(address("198.51.100.1"));
        assert!(one.is_some() && addresses.take(address("::ffff:198.51.100.1")).is_none());
        let proxies: Vec<_> = (0..5).map(|_| addresses.take(address("::ffff:192.0.2.7"))).collect();
        assert!(proxies.iter().all(Option::is_some));
    }
}
