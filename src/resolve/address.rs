//! Which addresses are globally reachable: the guard of invariant 7, for nameservers, masters, and all else a
//! tenant can name.
//!
//! After the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190; state of 2025), plus
//! multicast. Never here: looking anything up, or exceptions: those are the operator's, at the place of use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a packet to this address leaves for the public Internet, and for one host there.
///
/// Wrapped IPv4 (v4-mapped `::ffff:0:0/96`, NAT64 `64:ff9b::/96`) is judged by the address inside. Other wrappers
/// (v4-compatible, NAT64 of local use, 6to4, Teredo) are refused whatever they hold: no nameserver needs them.
pub fn is_globally_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4_is_globally_reachable(v4),
        IpAddr::V6(v6) => v6_is_globally_reachable(v6),
    }
}

/// IPv4 blocks that are not globally reachable, as (network, prefix length).
const V4_REFUSED: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network (RFC 791)
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private (RFC 1918)
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared, carrier NAT (RFC 6598)
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback (RFC 1122)
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link local, cloud metadata (RFC 3927)
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private (RFC 1918)
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // IETF protocol assignments (RFC 6890), but V4_REACHABLE
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // TEST-NET-1 (RFC 5737)
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relay anycast, deprecated (RFC 7526); 6a44 (RFC 6751)
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private (RFC 1918)
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking (RFC 2544)
    (Ipv4Addr::new(198, 51, 100, 0), 24), // TEST-NET-2 (RFC 5737)
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // TEST-NET-3 (RFC 5737)
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast (RFC 5771)
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved (RFC 1112), limited broadcast (RFC 8190)
];

/// Exceptions inside [`V4_REFUSED`].
const V4_REACHABLE: &[Ipv4Addr] = &[
    Ipv4Addr::new(192, 0, 0, 9),  // port control protocol anycast (RFC 7723)
    Ipv4Addr::new(192, 0, 0, 10), // TURN anycast (RFC 8155)
];

/// All that IANA has given out for global unicast (RFC 4291); whatever is outside is refused but the wrapped IPv4.
const V6_GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const V4_MAPPED: (Ipv6Addr, u32) = (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// IPv6 blocks inside global unicast that are not globally reachable.
const V6_REFUSED: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // IETF protocol assignments (RFC 2928), Teredo; but V6_REACHABLE
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation (RFC 3849)
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4 (RFC 3056)
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation (RFC 9637)
];

/// Exceptions inside [`V6_REFUSED`].
const V6_REACHABLE: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128), // port control protocol anycast (RFC 7723)
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2), 128), // TURN anycast (RFC 8155)
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3), 128), // DNS-SD service registration anycast (RFC 9665)
    (Ipv6Addr::new(0x2001, 3, 0, 0, 0, 0, 0, 0), 32),  // AMT (RFC 7450)
    (Ipv6Addr::new(0x2001, 4, 0x112, 0, 0, 0, 0, 0), 48), // AS112 (RFC 7535)
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28), // ORCHIDv2 (RFC 7343)
    (Ipv6Addr::new(0x2001, 0x30, 0, 0, 0, 0, 0, 0), 28), // drone remote identification (RFC 9374)
];

fn v4_is_globally_reachable(address: Ipv4Addr) -> bool {
    let within =
        |(network, length): &(Ipv4Addr, u32)| (address.to_bits() ^ network.to_bits()).leading_zeros() >= *length;
    V4_REACHABLE.contains(&address) || !V4_REFUSED.iter().any(within)
}

fn v6_is_globally_reachable(address: Ipv6Addr) -> bool {
    let within =
        |(network, length): &(Ipv6Addr, u32)| (address.to_bits() ^ network.to_bits()).leading_zeros() >= *length;
    if within(&V4_MAPPED) || within(&NAT64) {
        let [.., a, b, c, d] = address.octets();
        return v4_is_globally_reachable(Ipv4Addr::new(a, b, c, d));
    }
    within(&V6_GLOBAL_UNICAST) && (V6_REACHABLE.iter().any(within) || !V6_REFUSED.iter().any(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[(&str, bool)] = &[
        ("0.0.0.0", false),
        ("0.255.255.255", false),
        ("1.1.1.1", true),
        ("8.8.8.8", true),
        ("9.255.255.255", true),
        ("10.0.0.0", false),
        ("10.255.255.255", false),
        ("11.0.0.0", true),
        ("100.63.255.255", true),
        ("100.64.0.0", false),
        ("100.127.255.255", false),
        ("100.128.0.0", true),
        ("126.255.255.255", true),
        ("127.0.0.1", false),
        ("127.255.255.255", false),
        ("128.0.0.1", true),
        ("169.253.255.255", true),
        ("169.254.169.254", false),
        ("172.15.255.255", true),
        ("172.16.0.0", false),
        ("172.31.255.255", false),
        ("172.32.0.0", true),
        ("192.0.0.0", false),
        ("192.0.0.8", false),
        ("192.0.0.9", true),
        ("192.0.0.10", true),
        ("192.0.0.11", false),
        ("192.0.0.170", false),
        ("192.0.1.0", true),
        ("192.0.2.1", false),
        ("192.31.196.1", true),
        ("192.52.193.1", true),
        ("192.88.98.255", true),
        ("192.88.99.1", false),
        ("192.88.99.2", false),
        ("192.167.255.255", true),
        ("192.168.0.1", false),
        ("192.169.0.0", true),
        ("192.175.48.1", true),
        ("198.17.255.255", true),
        ("198.18.0.0", false),
        ("198.19.255.255", false),
        ("198.20.0.0", true),
        ("198.51.100.7", false),
        ("203.0.113.7", false),
        ("203.0.114.0", true),
        ("223.255.255.255", true),
        ("224.0.0.1", false),
        ("239.255.255.255", false),
        ("240.0.0.1", false),
        ("255.255.255.255", false),
        ("::", false),
        ("::1", false),
        ("::8.8.8.8", false),
        ("::127.0.0.1", false),
        ("::ffff:8.8.8.8", true),
        ("::ffff:127.0.0.1", false),
        ("::ffff:10.1.2.3", false),
        ("::ffff:169.254.169.254", false),
        ("::ffff:0:8.8.8.8", false),
        ("64:ff9b::8.8.8.8", true),
        ("64:ff9b::192.168.1.1", false),
        ("64:ff9b::127.0.0.1", false),
        ("64:ff9b:0:0:0:1:8.8.8.8", false),
        ("64:ff9b:1::8.8.8.8", false),
        ("64:ff9b:1:ffff::1", false),
        ("100::1", false),
        ("100:0:0:1::1", false),
        ("1fff:ffff::1", false),
        ("2000::1", true),
        ("2001::1", false),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", false),
        ("2001:1::1", true),
        ("2001:1::2", true),
        ("2001:1::3", true),
        ("2001:1::4", false),
        ("2001:2::1", false),
        ("2001:3::1", true),
        ("2001:4:112::1", true),
        ("2001:4:113::1", false),
        ("2001:10::1", false),
        ("2001:20::1", true),
        ("2001:30::1", true),
        ("2001:40::1", false),
        ("2001:1ff:ffff::1", false),
        ("2001:200::1", true),
        ("2001:4860:4860::8888", true),
        ("2001:db7::1", true),
        ("2001:db8::1", false),
        ("2001:db9::1", true),
        ("2002:808:808::1", false),
        ("2002:7f00:1::1", false),
        ("2003::1", true),
        ("2606:4700:4700::1111", true),
        ("2620:4f:8000::1", true),
        ("2a00::1", true),
        ("3ffe:ffff::1", true),
        ("3fff::1", false),
        ("3fff:fff:ffff::1", false),
        ("3fff:1000::1", true),
        ("4000::1", false),
        ("5f00::1", false),
        ("fc00::1", false),
        ("fdff:ffff::1", false),
        ("fe80::1", false),
        ("febf::1", false),
        ("fec0::1", false),
        ("ff02::1", false),
        ("ff0e::1", false),
    ];

    #[test]
    fn the_special_purpose_registries_are_kept() {
        for (text, expected) in TABLE {
            let address: IpAddr = text.parse().expect(text);
            assert_eq!(is_globally_reachable(address), *expected, "{text}");
        }
    }

    #[test]
    fn a_mapped_address_is_judged_like_the_one_inside() {
        for (text, expected) in TABLE {
            if let Ok(v4) = text.parse::<Ipv4Addr>() {
                assert_eq!(is_globally_reachable(v4.to_ipv6_mapped().into()), *expected, "::ffff:{text}");
            }
        }
    }
}
