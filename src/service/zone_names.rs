//! What of a zone never changes: whose it is and what it is called. Remembered by id, so that a request for a zone's
//! records costs no query before the caller's right is decided; whether the zone is still there, and in which state,
//! is found out by whoever reads or writes it.

use moka::sync::Cache;

use crate::authz::ZoneRef;
use crate::dns::ZoneName;
use crate::ids::{TenantId, ZoneId};
use crate::storage::zones::ZoneRow;

/// About 200 octets each.
const ZONES_MAX: u64 = 50_000;

/// A zone by id.
#[derive(Clone, Debug)]
pub struct NamedZone {
    pub id: ZoneId,
    pub tenant: TenantId,
    pub name: ZoneName,
}

impl NamedZone {
    pub fn reference(&self) -> ZoneRef {
        ZoneRef { id: self.id, tenant: self.tenant }
    }
}

impl From<&ZoneRow> for NamedZone {
    fn from(row: &ZoneRow) -> Self {
        Self { id: row.id, tenant: row.tenant, name: row.name.clone() }
    }
}

/// The zones that this replica has come across.
pub struct ZoneNames(Cache<ZoneId, NamedZone>);

impl Default for ZoneNames {
    fn default() -> Self {
        Self(Cache::new(ZONES_MAX))
    }
}

impl ZoneNames {
    pub fn get(&self, id: ZoneId) -> Option<NamedZone> {
        self.0.get(&id)
    }

    pub fn put(&self, zone: NamedZone) {
        self.0.insert(zone.id, zone);
    }
}
