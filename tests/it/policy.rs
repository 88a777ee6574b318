//! Who may do what: role × permission × kind of target, as tables that a reviewer reads. A change of them is a change of
//! this product's promises: `UPDATE_GOLDEN=1 cargo test --test it policy` writes the new ones.

use std::path::Path;

use scaidns::authz::{
    Assignment, AssignmentScope, Caller, NamePattern, Names, Permission, RecordScope, SystemRole, Target, ZoneRef,
    decide,
};
use scaidns::ids::{TenantId, ZoneId};

use crate::support::{Trials, trials};

pub fn tests() -> Trials {
    trials![what_each_role_holds, what_each_role_may_do_to_each_kind_of_target]
}

fn compare(table: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, table).expect("written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(table == golden, "the policy is no longer that of {}; it is now\n{table}", path.display());
}

async fn what_each_role_holds() {
    let mut table = String::new();
    for (n, role) in SystemRole::ALL.into_iter().enumerate() {
        table += &format!("{}{}\n", "│ ".repeat(n), role.as_str());
    }
    for permission in Permission::ALL {
        for role in SystemRole::ALL {
            table += if role.permissions().contains(*permission) { "■ " } else { "· " };
        }
        table += permission.as_str();
        table.push('\n');
    }
    compare(&table, "policy.golden.txt");
}

/// What a permission may be wanted for, as seen by a caller who acts in one tenant.
struct Targets {
    own: TenantId,
    zone: ZoneRef,
    sibling: ZoneRef,
    foreign: ZoneRef,
    /// The part of the zone that a limited role is held over, and another part.
    part: RecordScope,
    rest: RecordScope,
}

impl Targets {
    fn new() -> Self {
        let (own, other) = (TenantId::new(), TenantId::new());
        let zone = |tenant| ZoneRef { id: ZoneId::new(), tenant };
        let names = |text: &str| Names::Like(NamePattern::parse(text).expect("a pattern"));
        let part = RecordScope { names: names("_acme-challenge*"), types: None };
        let rest = RecordScope { names: names("www"), types: None };
        Self { own, zone: zone(own), sibling: zone(own), foreign: zone(other), part, rest }
    }

    /// Each with its letter in the tables.
    fn all(&self) -> [(char, Target<'_>); 8] {
        [
            ('P', Target::Platform),
            ('T', Target::Tenant(self.own)),
            ('Z', Target::Zone(self.zone)),
            ('p', Target::Records(self.zone, &self.part)),
            ('r', Target::Records(self.zone, &self.rest)),
            ('S', Target::Zone(self.sibling)),
            ('F', Target::Zone(self.foreign)),
            ('O', Target::Tenant(self.foreign.tenant)),
        ]
    }

    /// Where a role may be held.
    fn scopes(&self) -> [(&'static str, AssignmentScope); 4] {
        [
            ("on the platform", AssignmentScope::Platform),
            ("in the tenant", AssignmentScope::Tenant(self.own)),
            ("in the zone", AssignmentScope::Zone(self.zone.id)),
            ("over a part of the zone", AssignmentScope::Records(self.zone.id, self.part.clone())),
        ]
    }
}

async fn what_each_role_may_do_to_each_kind_of_target() {
    let targets = Targets::new();
    let mut table = String::from(
        "P the platform, T the tenant acted in, Z a zone of it, p a part of the zone's records, r another part,\n\
         S another zone of the tenant, F a zone of another tenant, O another tenant\n",
    );
    for (held, scope) in targets.scopes() {
        for role in SystemRole::ALL {
            table += &format!("\n{} held {held}\n", role.as_str());
            let mut caller = Caller::system("policy", targets.own);
            caller.assignments = vec![Assignment::new(role, scope.clone())];
            let mut nothing = true;
            for permission in Permission::ALL {
                let is_allowed = |target| decide(&caller, *permission, target).is_ok();
                let allowed: String = targets
                    .all()
                    .into_iter()
                    .map(|(letter, target)| if is_allowed(target) { letter } else { '·' })
                    .collect();
                if allowed.contains(char::is_alphabetic) {
                    nothing = false;
                    table += &format!("  {allowed}  {}\n", permission.as_str());
                }
            }
            if nothing {
                table += "  nothing\n";
            }
        }
    }
    println!("{table}");
    compare(&table, "policy.targets.golden.txt");
}
