//! Reverse zones: from a network to the zones that hold its addresses, from an address to its name and back.
//!
//! What never lives here: who may have such a zone, and what stands in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::error::FieldError;
use super::owner_name::OwnerName;
use super::zone_name::ZoneName;

/// Nibbles of an IPv6 address.
const NIBBLES: usize = 32;

/// One zone and the addresses that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReverseZone {
    pub name: ZoneName,
    pub network: IpNet,
}

impl ReverseZone {
    /// Whether the zone lies between octets, so that its parent must lead to it by a CNAME for each address (RFC 2317).
    pub fn is_classless(&self) -> bool {
        matches!(self.network, IpNet::V4(network) if network.prefix_len() > 24)
    }

    /// Where the PTR of an address of the network stands.
    pub fn owner_of(&self, address: IpAddr) -> Option<OwnerName> {
        if !self.network.contains(&address) {
            return None;
        }
        match (address, self.is_classless()) {
            (IpAddr::V4(address), true) => {
                Some(OwnerName::from_server(&format!("{}.{}", address.octets()[3], self.name)))
            }
            _ => Some(OwnerName::from_server(&name_of(address))),
        }
    }

    /// The address whose PTR stands at a name of the zone.
    pub fn address_at(&self, owner: &OwnerName) -> Option<IpAddr> {
        let address = match (self.network, self.is_classless()) {
            (IpNet::V4(network), true) => {
                let label = owner.as_str().strip_suffix(self.name.as_str())?.strip_suffix('.')?;
                let [a, b, c, _] = network.network().octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, octet(label)?))
            }
            _ => address_named(owner.as_str())?,
        };
        self.network.contains(&address).then_some(address)
    }
}

/// Networks that everybody may use for himself (RFC 1918, RFC 4193), and those that never leave a host or a link: their
/// reverse zones are nobody's in the public DNS (RFC 6303).
const PRIVATE: [IpNet; 7] = [
    v4([10, 0, 0, 0], 8),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v6(0xfd00, 8),
    v6(0xfe80, 10),
];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(first: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), length))
}

/// Whether the network is a private one, or a part of one.
pub fn is_private(network: &IpNet) -> bool {
    PRIVATE.iter().any(|private| private.contains(network))
}

/// The zones that hold exactly the addresses of a network, in their order.
///
/// # Errors
/// Names the field `cidr`: no network, bits set behind the prefix, a length that no zones make up.
pub fn zones_of(cidr: &str) -> Result<Vec<ReverseZone>, FieldError> {
    let wrong = |message: String| FieldError::new("cidr", message);
    let network: IpNet =
        cidr.trim().parse().map_err(|_| wrong("must be a network as in 192.0.2.0/24 or 2001:db8::/32".to_owned()))?;
    if network.addr() != network.network() {
        return Err(wrong(format!("host bits are set; the network is {}", network.trunc())));
    }
    match network {
        IpNet::V4(network) => match network.prefix_len() {
            0 => Err(wrong("the whole address space is no zone".to_owned())),
            length @ 1..=24 => {
                let whole = length.div_ceil(8) * 8;
                let parts = network.subnets(whole).map_err(|error| wrong(error.to_string()))?;
                parts.map(octet_zone).collect()
            }
            _ => classless_zone(network).map(|zone| vec![zone]),
        },
        IpNet::V6(network) => {
            let length = usize::from(network.prefix_len());
            if length == 0 || length > 124 || !length.is_multiple_of(4) {
                return Err(wrong("the length of an IPv6 network must be a multiple of 4, from /4 to /124".to_owned()));
            }
            let name = nibbles(network.network()).skip(NIBBLES - length / 4).collect::<Vec<_>>().join(".");
            Ok(vec![ReverseZone { name: zone_name(&format!("{name}.ip6.arpa"))?, network: IpNet::V6(network) }])
        }
    }
}

/// The network of a zone by its name; nothing for a name that is of no network.
pub fn zone_named(name: &ZoneName) -> Option<ReverseZone> {
    let network = network_named(name.as_str())?;
    Some(ReverseZone { name: name.clone(), network })
}

/// The name of an address: `4.3.2.1.in-addr.arpa`.
pub fn name_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => format!("{}.ip6.arpa", nibbles(address).collect::<Vec<_>>().join(".")),
    }
}

/// The names of the zones in which the PTR of an address may stand, the closest first.
pub fn zone_names_over(address: IpAddr) -> Vec<String> {
    let own = name_of(address);
    let mut names = Vec::new();
    if let IpAddr::V4(address) = address {
        let [a, b, c, d] = address.octets();
        for length in (25..=32_u32).rev() {
            let first = u32::from(d) & (u32::MAX << (32 - length));
            names.extend(['-', '/'].map(|mark| format!("{first}{mark}{length}.{c}.{b}.{a}.in-addr.arpa")));
        }
    }
    let above = own.match_indices('.').map(|(dot, _)| &own[dot + 1..]);
    names.extend(above.filter(|name| name.ends_with(".arpa") && name.matches('.').count() > 1).map(str::to_owned));
    names
}

fn octet_zone(network: Ipv4Net) -> Result<ReverseZone, FieldError> {
    let octets = network.network().octets();
    let kept = usize::from(network.prefix_len() / 8);
    let labels: Vec<String> = octets[..kept].iter().rev().map(ToString::to_string).collect();
    Ok(ReverseZone { name: zone_name(&format!("{}.in-addr.arpa", labels.join(".")))?, network: IpNet::V4(network) })
}

/// `<first>-<length>.c.b.a.in-addr.arpa`.
fn classless_zone(network: Ipv4Net) -> Result<ReverseZone, FieldError> {
    let [a, b, c, first] = network.network().octets();
    let name = format!("{first}-{}.{c}.{b}.{a}.in-addr.arpa", network.prefix_len());
    Ok(ReverseZone { name: zone_name(&name)?, network: IpNet::V4(network) })
}

fn zone_name(name: &str) -> Result<ZoneName, FieldError> {
    ZoneName::parse(name).map_err(|error| FieldError::new("cidr", error.to_string()))
}

fn network_named(name: &str) -> Option<IpNet> {
    if let Some(front) = name.strip_suffix(".in-addr.arpa") {
        let labels: Vec<&str> = front.split('.').collect();
        if let [classless, c, b, a] = labels[..]
            && let Some((first, length)) = classless.split_once(['-', '/'])
        {
            let address = Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(first)?);
            let length = octet(length).filter(|length| (25..=32).contains(length))?;
            let network = Ipv4Net::new(address, length).ok()?;
            return (network.network() == address).then_some(IpNet::V4(network));
        }
        if labels.len() > 4 {
            return None;
        }
        let mut octets = [0; 4];
        for (place, label) in octets.iter_mut().zip(labels.iter().rev()) {
            *place = octet(label)?;
        }
        let length = u8::try_from(labels.len() * 8).ok()?;
        return Ipv4Net::new(octets.into(), length).ok().map(IpNet::V4);
    }
    let front = name.strip_suffix(".ip6.arpa")?;
    let labels: Vec<&str> = front.split('.').collect();
    if labels.len() > NIBBLES {
        return None;
    }
    let mut bits: u128 = 0;
    for label in labels.iter().rev() {
        let [digit] = label.as_bytes() else { return None };
        bits = bits << 4 | u128::from(char::from(*digit).to_digit(16)?);
    }
    let length = labels.len() * 4;
    let address = Ipv6Addr::from_bits(bits.checked_shl(u32::try_from(128 - length).ok()?).unwrap_or(0));
    ipnet::Ipv6Net::new(address, u8::try_from(length).ok()?).ok().map(IpNet::V6)
}

/// The address whose own name this is.
fn address_named(name: &str) -> Option<IpAddr> {
    match network_named(name)? {
        IpNet::V4(network) if network.prefix_len() == 32 => Some(IpAddr::V4(network.network())),
        IpNet::V6(network) if network.prefix_len() == 128 => Some(IpAddr::V6(network.network())),
        _ => None,
    }
}

fn octet(label: &str) -> Option<u8> {
    let is_plain = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = label == "0" || !label.starts_with('0');
    (is_plain && is_short).then(|| label.parse().ok()).flatten()
}

/// From the last to the first.
fn nibbles(address: Ipv6Addr) -> impl Iterator<Item = String> {
    let bits = address.to_bits();
    (0..NIBBLES).map(move |place| format!("{:x}", bits >> (4 * place) & 0xf))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(cidr: &str) -> Vec<String> {
        let zones = zones_of(cidr).unwrap_or_else(|error| panic!("{cidr}: {error}"));
        zones.into_iter().map(|zone| zone.name.to_string()).collect()
    }

    #[test]
    fn private_networks_and_their_parts_are_known() {
        let is = |network: &str| is_private(&network.parse().expect("a network"));
        for network in ["10.0.0.0/8", "10.1.2.0/24", "172.31.0.0/16", "192.168.7.0/28", "fd12:3456::/32", "fe80::/12"] {
            assert!(is(network), "{network}");
        }
        for network in ["0.0.0.0/1", "172.32.0.0/16", "192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32", "f000::/4"] {
            assert!(!is(network), "{network}");
        }
    }

    #[test]
    fn a_network_has_the_zones_that_make_it_up() {
        for (cidr, wanted) in [
            ("10.0.0.0/8", "10.in-addr.arpa"),
            ("172.16.0.0/16", "16.172.in-addr.arpa"),
            ("192.0.2.0/24", "2.0.192.in-addr.arpa"),
            ("192.0.2.0/28", "0-28.2.0.192.in-addr.arpa"),
            ("192.0.2.128/25", "128-25.2.0.192.in-addr.arpa"),
            ("192.0.2.7/32", "7-32.2.0.192.in-addr.arpa"),
            ("2001:db8::/32", "8.b.d.0.1.0.0.2.ip6.arpa"),
            ("2001:db8::/36", "0.8.b.d.0.1.0.0.2.ip6.arpa"),
            ("2000::/4", "2.ip6.arpa"),
        ] {
            assert_eq!(names(cidr), [wanted], "{cidr}");
        }
        let twenty = names("192.0.16.0/20");
        assert_eq!((twenty.len(), twenty[0].as_str()), (16, "16.0.192.in-addr.arpa"));
        assert_eq!(twenty[15], "31.0.192.in-addr.arpa");
        assert_eq!(names("10.0.0.0/9").len(), 128);
        assert_eq!(names("0.0.0.0/1").len(), 128);
        assert_eq!(names("2001:db8::/124").len(), 1);
    }

    #[test]
    fn what_is_no_network_of_zones_is_refused() {
        for cidr in ["", "192.0.2.0", "192.0.2.0/33", "0.0.0.0/0", "::/0", "2001:db8::/33", "2001:db8::/128", "x/8"] {
            assert_eq!(zones_of(cidr).expect_err(cidr).field, "cidr");
        }
        let error = zones_of("192.0.2.5/24").expect_err("host bits");
        assert!(error.message.contains("192.0.2.0/24"), "{}", error.message);
        assert!(zones_of("2001:db8::1/32").expect_err("host bits").message.contains("2001:db8::/32"));
    }

    #[test]
    fn a_zone_is_known_by_its_name() {
        for (name, wanted) in [
            ("2.0.192.in-addr.arpa", Some("192.0.2.0/24")),
            ("0/26.2.0.192.in-addr.arpa", Some("192.0.2.0/26")),
            ("64-26.2.0.192.in-addr.arpa", Some("192.0.2.64/26")),
            ("65-26.2.0.192.in-addr.arpa", None),
            ("customer.2.0.192.in-addr.arpa", None),
            ("8.b.d.0.1.0.0.2.ip6.arpa", Some("2001:db8::/32")),
            ("example.com", None),
        ] {
            let zone = zone_named(&ZoneName::parse(name).expect("valid"));
            assert_eq!(zone.map(|zone| zone.network.to_string()).as_deref(), wanted, "{name}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_found_where_it_was_put(bits in any::<u128>(), four in any::<bool>(), length in 1_u8..=32) {
            let address = if four { IpAddr::V4((bits as u32).into()) } else { IpAddr::V6(bits.into()) };
            let length = if four { length } else { (length % 31 + 1) * 4 };
            let network = IpNet::new(address, length).expect("a length").trunc();
            let zones = zones_of(&network.to_string()).expect("a network");
            prop_assert!(zones.len() <= 256);
            let holding: Vec<_> = zones.iter().filter_map(|zone| Some((zone, zone.owner_of(address)?))).collect();
            prop_assert_eq!(holding.len(), 1);
            let (zone, owner) = &holding[0];
            prop_assert_eq!(zone.address_at(owner), Some(address));
            prop_assert!(owner.is_in(&zone.name));
            let named = zone_named(&zone.name);
            prop_assert_eq!(named.as_ref(), Some(*zone));
            prop_assert!(zone_names_over(address).contains(&zone.name.to_string()));
        }
    }
}
