//! Where each part of the stack listens: one base, fixed offsets, loopback only.
//!
//! | offset | part |
//! |---|---|
//! | +0 … +9 | `scaidns api`, one port a replica |
//! | +10 … +19 | metrics of the replicas |
//! | +20 | metrics of the worker |
//! | +21 | MariaDB |
//! | +22 | Redis |
//! | +23 | PowerDNS, HTTP API |
//! | +24 | the DNS port of this small world: PowerDNS on 127.0.0.1, the registrar's nameservers on 127.0.0.2 and up |
//! | +25 | small ScaiKey |
//! | +26 | registrar, HTTP API |
//! | +27 | registrar, recursive resolver |

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use rand::Rng;

use super::DevError;

/// More replicas than this would run into the offsets of the rest.
pub const API_REPLICAS_MAX: u16 = 10;
/// How many ports a stack takes, from its base up.
pub const PORTS_NEEDED: u16 = 28;
const LOWEST_BASE: u16 = 1024;
const HIGHEST_BASE: u16 = u16::MAX - PORTS_NEEDED;

/// The ports of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// The layout above `base`.
    pub fn from_base(base: u16) -> Result<Self, DevError> {
        if !(LOWEST_BASE..=HIGHEST_BASE).contains(&base) {
            return Err(DevError::PortBase { base, needed: PORTS_NEEDED, max: HIGHEST_BASE });
        }
        Ok(Self { base })
    }

    /// A range that is free at this moment, for tests; below the range the kernel takes outgoing ports from.
    pub fn free() -> Self {
        loop {
            let ports = Self { base: rand::rng().random_range(10_000..32_000 - PORTS_NEEDED) };
            if ports.check(API_REPLICAS_MAX).is_ok() {
                return ports;
            }
        }
    }

    pub fn base(self) -> u16 {
        self.base
    }

    /// The port of the replica `n`, counted from 0.
    pub fn api(self, n: u16) -> u16 {
        self.base + n
    }

    pub fn api_metrics(self, n: u16) -> u16 {
        self.base + 10 + n
    }

    pub fn worker_metrics(self) -> u16 {
        self.base + 20
    }

    pub fn mariadb(self) -> u16 {
        self.base + 21
    }

    pub fn redis(self) -> u16 {
        self.base + 22
    }

    pub fn pdns_api(self) -> u16 {
        self.base + 23
    }

    /// The one port all authoritative servers of this small world listen on.
    pub fn dns(self) -> u16 {
        self.base + 24
    }

    pub fn scaikey(self) -> u16 {
        self.base + 25
    }

    pub fn registrar_api(self) -> u16 {
        self.base + 26
    }

    pub fn resolver(self) -> u16 {
        self.base + 27
    }

    /// Says which port is taken, and for what it was wanted.
    pub fn check(self, api_replicas: u16) -> Result<(), DevError> {
        for replica in 0..api_replicas {
            tcp(self.api(replica), &format!("api {}", replica + 1))?;
            tcp(self.api_metrics(replica), &format!("metrics of api {}", replica + 1))?;
        }
        tcp(self.worker_metrics(), "metrics of the worker")?;
        tcp(self.mariadb(), "MariaDB")?;
        tcp(self.redis(), "Redis")?;
        tcp(self.pdns_api(), "PowerDNS API")?;
        tcp(self.dns(), "DNS")?;
        udp(self.dns(), "DNS")?;
        tcp(self.scaikey(), "small ScaiKey")?;
        tcp(self.registrar_api(), "registrar API")?;
        tcp(self.resolver(), "registrar resolver")?;
        udp(self.resolver(), "registrar resolver")
    }
}

fn tcp(port: u16, purpose: &str) -> Result<(), DevError> {
    TcpListener::bind(local(port)).map(drop).map_err(|_| in_use(port, purpose))
}

fn udp(port: u16, purpose: &str) -> Result<(), DevError> {
    UdpSocket::bind(local(port)).map(drop).map_err(|_| in_use(port, purpose))
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn in_use(port: u16, purpose: &str) -> DevError {
    DevError::PortInUse { port, purpose: purpose.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_purpose() {
        let ports = Ports::free();
        let _taken = UdpSocket::bind(local(ports.dns())).unwrap();
        let error = ports.check(2).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "port {} (for DNS) is in use; stop what uses it or choose another range with --port-base",
                ports.dns()
            )
        );
    }

    #[test]
    fn a_base_without_room_is_refused() {
        assert!(Ports::from_base(80).is_err());
        assert!(Ports::from_base(65_530).is_err());
        assert_eq!(Ports::from_base(8000).unwrap().api(1), 8001);
    }
}
