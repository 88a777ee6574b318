//! What must hold of the decision whatever is held: rights only add up.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::dns::RecordType;
use crate::ids::RoleId;

/// Two tenants with two zones each; the caller acts in the first.
const TENANTS: [TenantId; 2] = [TenantId(uuid::Uuid::from_u128(11)), TenantId(uuid::Uuid::from_u128(12))];
const ZONES: [ZoneRef; 4] = [zone(21, 0), zone(22, 0), zone(23, 1), zone(24, 1)];
const NAMES: [&str; 5] = ["@", "www", "a.dev", "b.dev", "*.dev"];
const TYPES: [RecordType; 2] = [RecordType::A, RecordType::Txt];

const fn zone(id: u128, tenant: usize) -> ZoneRef {
    ZoneRef { id: ZoneId(uuid::Uuid::from_u128(id)), tenant: TENANTS[tenant] }
}

fn permissions() -> impl Strategy<Value = PermissionSet> {
    subsequence(Permission::ALL, 0..=6).prop_map(|some| some.into_iter().collect())
}

fn role() -> impl Strategy<Value = Role> {
    let custom = permissions().prop_map(|permissions| {
        Role::Custom(Arc::new(CustomRole { id: RoleId(uuid::Uuid::from_u128(99)), name: "own".into(), permissions }))
    });
    prop_oneof![select(&SystemRole::ALL[..]).prop_map(Role::System), custom]
}

pub fn record_scope() -> impl Strategy<Value = RecordScope> {
    let names = prop_oneof![
        Just(Names::All),
        select(vec!["*", "@", "www", "*.dev", "a*", "*v"])
            .prop_map(|text| Names::Like(NamePattern::parse(text).expect("a pattern"))),
        select(&NAMES[..]).prop_map(|name| Names::Only(name.into())),
    ];
    let types = proptest::option::of(subsequence(&TYPES[..], 1..=2).prop_map(|some| some.into_iter().collect()));
    (names, types).prop_map(|(names, types): (_, Option<BTreeSet<RecordType>>)| RecordScope { names, types })
}

fn scope() -> impl Strategy<Value = AssignmentScope> {
    prop_oneof![
        1 => Just(AssignmentScope::Platform),
        2 => select(&TENANTS[..]).prop_map(AssignmentScope::Tenant),
        3 => select(&ZONES[..]).prop_map(|zone| AssignmentScope::Zone(zone.id)),
        4 => (select(&ZONES[..]), record_scope()).prop_map(|(zone, scope)| AssignmentScope::Records(zone.id, scope)),
    ]
}

fn assignment() -> impl Strategy<Value = Assignment> {
    (role(), scope()).prop_map(|(role, scope)| Assignment { role, scope })
}

fn any_caller() -> impl Strategy<Value = Caller> {
    (proptest::collection::vec(assignment(), 0..5), proptest::option::of(permissions())).prop_map(
        |(assignments, scopes)| {
            let tenant = TENANTS[0];
            Caller {
                actor: Actor::System { name: "test" },
                tenant,
                assignments,
                scopes,
                has_chosen_tenant: false,
                decisions: Default::default(),
            }
        },
    )
}

/// Everything that can be asked, with a name for each question that is answered with yes.
fn allowed(caller: &Caller, parts: &[RecordScope]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for permission in Permission::ALL {
        let mut note = |target: Target<'_>| {
            if decide(caller, *permission, target).is_ok() {
                found.insert(format!("{permission} {target:?}"));
            }
        };
        note(Target::Platform);
        TENANTS.iter().for_each(|tenant| note(Target::Tenant(*tenant)));
        for zone in ZONES {
            note(Target::Zone(zone));
            parts.iter().for_each(|part| note(Target::Records(zone, part)));
        }
        for zone in ZONES {
            if let Ok(access) = decide_zone(caller, *permission, zone) {
                found.insert(format!("{permission} in {zone:?}"));
                for (name, record_type) in NAMES.iter().flat_map(|name| TYPES.map(|of| (*name, of))) {
                    if covers(&access, *permission, name, &record_type) {
                        found.insert(format!("{permission} in {zone:?} of {name} {record_type}"));
                    }
                }
            }
        }
    }
    found
}

fn covers(access: &ZoneAccess, permission: Permission, name: &str, record_type: &RecordType) -> bool {
    match access.reach(permission) {
        RecordReach::Nothing => false,
        RecordReach::Everything => true,
        RecordReach::Part(scopes) => scopes.iter().any(|scope| scope.covers(name, record_type)),
    }
}

proptest! {
    #[test]
    fn what_is_held_besides_never_takes_anything_away(
        caller in any_caller(), more in assignment(), parts in proptest::collection::vec(record_scope(), 1..3),
    ) {
        let before = allowed(&caller, &parts);
        let mut richer = caller.clone();
        richer.assignments.push(more);
        let after = allowed(&richer, &parts);
        // and so, read the other way, taking one away never adds
        prop_assert!(before.is_subset(&after), "{:?}", before.difference(&after).collect::<Vec<_>>());
    }

    #[test]
    fn scopes_of_a_key_never_add(caller in any_caller(), parts in proptest::collection::vec(record_scope(), 1..3)) {
        let narrowed = allowed(&caller, &parts);
        let whole = allowed(&Caller { scopes: None, ..caller }, &parts);
        prop_assert!(narrowed.is_subset(&whole));
    }

    #[test]
    fn another_tenants_zones_do_not_exist_but_for_the_platforms_admin(caller in any_caller()) {
        prop_assume!(!caller.is_platform_admin());
        for zone in ZONES.into_iter().filter(|zone| zone.tenant != TENANTS[0]) {
            for permission in Permission::ALL {
                prop_assert_eq!(decide_zone(&caller, *permission, zone).err(), Some(Denied::Hidden));
                prop_assert_eq!(decide(&caller, *permission, Target::Zone(zone)), Err(Denied::Hidden));
            }
        }
    }

    #[test]
    fn a_part_that_is_allowed_as_a_whole_is_allowed_record_by_record(caller in any_caller(), part in record_scope()) {
        for zone in ZONES {
            for permission in PermissionSet::of_records().iter().filter(|of| *of != Permission::DomainsRead) {
                if decide(&caller, permission, Target::Records(zone, &part)).is_err() {
                    continue;
                }
                let access = decide_zone(&caller, permission, zone).expect("allowed in a part");
                for (name, record_type) in NAMES.iter().flat_map(|name| TYPES.map(|of| (*name, of))) {
                    let wanted = part.covers(name, &record_type);
                    prop_assert!(!wanted || covers(&access, permission, name, &record_type), "{name} {record_type}");
                }
            }
        }
    }

    #[test]
    fn what_is_held_over_some_records_is_never_held_over_the_zone(part in record_scope(), role in role()) {
        let scope = AssignmentScope::Records(ZONES[0].id, part);
        let caller = Caller {
            actor: Actor::System { name: "test" },
            tenant: TENANTS[0],
            assignments: vec![Assignment { role: role.clone(), scope }],
            scopes: None,
            has_chosen_tenant: false, decisions: Default::default(),
        };
        for permission in Permission::ALL {
            prop_assert!(decide(&caller, *permission, Target::Zone(ZONES[0])).is_err());
            prop_assert!(decide_tenant(&caller, *permission).is_err());
            let proof = decide_zone(&caller, *permission, ZONES[0]);
            let conveyed = role.permissions().intersection(PermissionSet::of_records()).contains(*permission);
            prop_assert_eq!(proof.is_ok(), conveyed);
            prop_assert!(proof.is_ok_and(|proof| proof.is_limited()) == conveyed);
        }
    }
}
