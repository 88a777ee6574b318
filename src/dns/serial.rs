//! Serial number arithmetic (RFC 1982) for the SOA's serial.

/// The serial after `serial`. Zero is left out: PowerDNS answers it for a zone whose SOA is disabled.
pub fn next(serial: u32) -> u32 {
    match serial.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

/// Whether `a` comes after `b`. Serials exactly half the circle apart are not ordered (RFC 1982 section 3.2);
/// both directions answer false then.
pub fn is_newer(a: u32, b: u32) -> bool {
    const HALF: u32 = 1 << 31;
    a != b && a.wrapping_sub(b) < HALF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_serial_is_newer_even_across_the_end() {
        for serial in [0, 1, 2_026_010_100, u32::MAX / 2, u32::MAX - 1, u32::MAX] {
            assert!(is_newer(next(serial), serial), "{serial}");
            assert!(!is_newer(serial, next(serial)), "{serial}");
            assert_ne!(next(serial), 0);
        }
    }

    #[test]
    fn equal_and_opposite_serials_are_not_newer() {
        assert!(!is_newer(7, 7));
        assert!(!is_newer(0, 1 << 31));
        assert!(!is_newer(1 << 31, 0));
    }
}
