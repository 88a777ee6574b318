//! A zone's kind and where it stands in its life.

use serde::{Deserialize, Serialize};

/// Where a zone stands.
///
/// ```text
/// pending_validation ──go live──▶ active ◀──withdraw, return──▶ inactive
///         │                         │                             │
///         └───────────── delete, restore (back to the same) ──────┘
///                                   │
///                                deleted ──purge──▶ (gone)      any but active ──hard delete──▶ (gone)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneStatus {
    /// Claimed, not proven: nothing is served, records are kept by us.
    PendingValidation,
    /// Served.
    Active,
    /// Withdrawn: PowerDNS keeps the content, resolvers get REFUSED.
    Inactive,
    /// Withdrawn and on its way out; until it is purged it can be restored to what it was.
    Deleted,
}

impl ZoneStatus {
    pub const ALL: [Self; 4] = [Self::PendingValidation, Self::Active, Self::Inactive, Self::Deleted];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingValidation => "pending_validation",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Deleted => "deleted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// What a zone is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneType {
    Primary,
    Secondary,
    ReverseIpv4,
    ReverseIpv6,
}

impl ZoneType {
    pub const ALL: [Self; 4] = [Self::Primary, Self::Secondary, Self::ReverseIpv4, Self::ReverseIpv6];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::ReverseIpv4 => "reverse_ipv4",
            Self::ReverseIpv6 => "reverse_ipv6",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
