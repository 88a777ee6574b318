//! Whatever people do with roles, assignments, grants, groups and keys: nobody ends up with what nobody had.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use uuid::Uuid;

use super::*;
use crate::authz::{
    AssignmentScope, CustomRole, NamePattern, Names, Permission, RecordReach, RecordScope, Role, SystemRole, Target,
    ZoneRef, decide, decide_tenant, decide_zone,
};
use crate::dns::RecordType;
use crate::ids::{RoleId, ZoneId};

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const ZONES: [ZoneRef; 2] = [zone(2), zone(3)];
const NAMES: [&str; 4] = ["@", "www", "a.dev", "b.dev"];
const TYPES: [RecordType; 2] = [RecordType::A, RecordType::Txt];
/// Users; the last one is a group, which holds rights and does nothing.
const HOLDERS: usize = 4;
const GROUP: usize = HOLDERS - 1;
const ROLES: usize = 3;

const fn zone(id: u128) -> ZoneRef {
    ZoneRef { id: ZoneId(Uuid::from_u128(id)), tenant: TENANT }
}

/// Who holds what, who is in the group, and what the tenant's own roles are.
#[derive(Clone, Debug)]
struct State {
    held: Vec<Vec<(HeldRole, AssignmentScope)>>,
    members: BTreeSet<usize>,
    roles: [PermissionSet; ROLES],
    /// Whose keys there are, and their scopes.
    keys: Vec<(usize, Option<PermissionSet>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum HeldRole {
    System(SystemRole),
    /// By its place: who holds it holds what it is at the moment.
    Own(usize),
}

#[derive(Clone, Debug)]
enum Step {
    Bundle { role: usize, permissions: PermissionSet },
    Assign { role: HeldRole, scope: AssignmentScope, to: usize },
    Unassign { from: usize, which: Index },
    Grant { role: HeldRole, zone: ZoneRef, part: Option<RecordScope>, to: usize },
    Join { who: usize },
    Leave { who: usize },
    Key { of: usize, scopes: Option<PermissionSet> },
}

/// Who takes a step: a user, or one of the keys there are.
#[derive(Clone, Debug)]
enum By {
    User(usize),
    Key(Index),
}

impl State {
    fn assignments(&self, holder: usize) -> Vec<Assignment> {
        let in_group = self.members.contains(&holder);
        let held = self.held[holder].iter().chain(if in_group { &self.held[GROUP][..] } else { &[] });
        held.map(|(role, scope)| Assignment { role: self.role(*role), scope: scope.clone() }).collect()
    }

    fn role(&self, role: HeldRole) -> Role {
        match role {
            HeldRole::System(role) => Role::System(role),
            HeldRole::Own(n) => Role::Custom(Arc::new(CustomRole {
                id: RoleId(Uuid::from_u128(100 + n as u128)),
                name: format!("own {n}"),
                permissions: self.roles[n],
            })),
        }
    }

    fn caller(&self, holder: usize, scopes: Option<PermissionSet>) -> Caller {
        let actor = Actor::System { name: "test" };
        Caller {
            actor,
            tenant: TENANT,
            assignments: self.assignments(holder),
            scopes,
            has_chosen_tenant: false,
            decisions: Default::default(),
        }
    }

    /// The step as the product takes it, or nothing where it refuses.
    fn take(&mut self, by: &By, step: &Step) {
        let (caller, is_key, owner) = match by {
            By::User(user) => (self.caller(*user, None), false, *user),
            By::Key(_) if self.keys.is_empty() => return,
            By::Key(key) => {
                let (of, scopes) = self.keys[key.index(self.keys.len())];
                (self.caller(of, scopes), true, of)
            }
        };
        let tenant_wide = |permission| decide_tenant(&caller, permission).is_ok();
        let give = |role: HeldRole, scope: &AssignmentScope| {
            may_give(&caller, &Assignment { role: self.role(role), scope: scope.clone() }, TENANT).is_ok()
        };
        match step {
            Step::Bundle { role, permissions } => {
                let added = permissions.without(self.roles[*role]);
                if tenant_wide(Permission::RolesUpdate) && may_bundle(&caller, added).is_ok() {
                    self.roles[*role] = *permissions;
                }
            }
            Step::Assign { role, scope, to } => {
                if tenant_wide(Permission::RolesUpdate) && give(*role, scope) {
                    self.held[*to].push((*role, scope.clone()));
                }
            }
            Step::Unassign { from, which } => {
                if tenant_wide(Permission::RolesUpdate) && !self.held[*from].is_empty() {
                    let which = which.index(self.held[*from].len());
                    self.held[*from].remove(which);
                }
            }
            Step::Grant { role, zone, part, to } => {
                let scope = match part {
                    Some(part) => AssignmentScope::Records(zone.id, part.clone()),
                    None => AssignmentScope::Zone(zone.id),
                };
                if decide_zone(&caller, Permission::AccessGrantsCreate, *zone).is_ok() && give(*role, &scope) {
                    self.held[*to].push((*role, scope));
                }
            }
            Step::Join { who } | Step::Leave { who } => {
                let covered = covers(&caller, &self.assignments(GROUP), TENANT);
                if tenant_wide(Permission::GroupsUpdate) && covered {
                    match step {
                        Step::Join { .. } => drop(self.members.insert(*who)),
                        _ => drop(self.members.remove(who)),
                    }
                }
            }
            Step::Key { of, scopes } => {
                let owns = *of == owner || (*of == GROUP && self.members.contains(&owner));
                let may = owns || tenant_wide(Permission::ApiKeysCreate);
                if !is_key && may && covers(&caller, &self.assignments(*of), TENANT) {
                    self.keys.push((*of, *scopes));
                }
            }
        }
    }

    /// All that anybody may do, or any key.
    fn possible(&self) -> BTreeSet<String> {
        let users = (0..HOLDERS).map(|holder| self.caller(holder, None));
        let keys = self.keys.iter().map(|(of, scopes)| self.caller(*of, *scopes));
        users.chain(keys).flat_map(|caller| allowed(&caller)).collect()
    }
}

fn allowed(caller: &Caller) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for permission in Permission::ALL {
        for target in [Target::Platform, Target::Tenant(TENANT), Target::Zone(ZONES[0]), Target::Zone(ZONES[1])] {
            if decide(caller, *permission, target).is_ok() {
                found.insert(format!("{permission} {target:?}"));
            }
        }
        for zone in ZONES {
            let Ok(access) = decide_zone(caller, *permission, zone) else { continue };
            found.insert(format!("{permission} within {zone:?}"));
            for (name, of) in NAMES.iter().flat_map(|name| TYPES.map(|of| (*name, of))) {
                let is_covered = match access.reach(*permission) {
                    RecordReach::Nothing => false,
                    RecordReach::Everything => true,
                    RecordReach::Part(scopes) => scopes.iter().any(|scope| scope.covers(name, &of)),
                };
                if is_covered {
                    found.insert(format!("{permission} on {name} {of} in {zone:?}"));
                }
            }
        }
    }
    found
}

fn some_permissions() -> impl Strategy<Value = PermissionSet> {
    subsequence(Permission::ALL, 0..=8).prop_map(|some| some.into_iter().collect())
}

fn held_role() -> impl Strategy<Value = HeldRole> {
    prop_oneof![select(&SystemRole::ALL[..]).prop_map(HeldRole::System), (0..ROLES).prop_map(HeldRole::Own)]
}

fn part() -> impl Strategy<Value = RecordScope> {
    let names = prop_oneof![
        Just(Names::All),
        select(vec!["*", "@", "*.dev", "a*"])
            .prop_map(|text| Names::Like(NamePattern::parse(text).expect("a pattern"))),
        select(&NAMES[..]).prop_map(|name| Names::Only(name.into())),
    ];
    let types = proptest::option::of(subsequence(&TYPES[..], 1..=2).prop_map(|some| some.into_iter().collect()));
    (names, types).prop_map(|(names, types)| RecordScope { names, types })
}

fn scope() -> impl Strategy<Value = AssignmentScope> {
    prop_oneof![
        Just(AssignmentScope::Platform),
        Just(AssignmentScope::Tenant(TENANT)),
        select(&ZONES[..]).prop_map(|zone| AssignmentScope::Zone(zone.id)),
        (select(&ZONES[..]), part()).prop_map(|(zone, part)| AssignmentScope::Records(zone.id, part)),
    ]
}

/// A role of the tenant's own never holds on the platform, whatever is asked.
fn held() -> impl Strategy<Value = (HeldRole, AssignmentScope)> {
    (held_role(), scope()).prop_filter("own roles stay in the tenant", |(role, scope)| {
        !(matches!(role, HeldRole::Own(_)) && *scope == AssignmentScope::Platform)
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..ROLES, some_permissions()).prop_map(|(role, permissions)| Step::Bundle { role, permissions }),
        (held(), 0..HOLDERS).prop_map(|((role, scope), to)| Step::Assign { role, scope, to }),
        (0..HOLDERS, any::<Index>()).prop_map(|(from, which)| Step::Unassign { from, which }),
        (held_role(), select(&ZONES[..]), proptest::option::of(part()), 0..HOLDERS)
            .prop_map(|(role, zone, part, to)| Step::Grant { role, zone, part, to }),
        (0..GROUP).prop_map(|who| Step::Join { who }),
        (0..GROUP).prop_map(|who| Step::Leave { who }),
        (0..HOLDERS, proptest::option::of(some_permissions())).prop_map(|(of, scopes)| Step::Key { of, scopes }),
    ]
}

/// One with rights over roles, so that something happens; the others with whatever.
fn start() -> impl Strategy<Value = State> {
    let any_holder = || proptest::collection::vec(held(), 0..3);
    let roles = proptest::array::uniform3(some_permissions());
    let first = prop_oneof![
        Just(vec![(HeldRole::System(SystemRole::TenantAdmin), AssignmentScope::Tenant(TENANT))]),
        Just(vec![(HeldRole::System(SystemRole::DomainAdmin), AssignmentScope::Zone(ZONES[0].id))]),
        Just(vec![(HeldRole::Own(0), AssignmentScope::Tenant(TENANT))]),
    ];
    (first, any_holder(), any_holder(), any_holder(), roles, subsequence(vec![0, 1, 2], 0..=3)).prop_map(
        |(first, second, third, group, mut roles, members)| {
            let delegated = [Permission::RolesUpdate, Permission::GroupsUpdate, Permission::ApiKeysCreate];
            roles[0] = roles[0].union(delegated.into_iter().collect());
            State {
                held: vec![first, second, third, group],
                members: members.into_iter().collect(),
                roles,
                keys: Vec::new(),
            }
        },
    )
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![3 => (0..GROUP).prop_map(By::User), 1 => any::<Index>().prop_map(By::Key)]
}

proptest! {
    #[test]
    fn no_sequence_of_steps_ends_with_what_nobody_had(
        start in start(), steps in proptest::collection::vec((by(), step()), 1..12),
    ) {
        let mut state = start.clone();
        let before = start.possible();
        for (by, step) in &steps {
            state.take(by, step);
        }
        let after = state.possible();
        prop_assert!(after.is_subset(&before), "{:?}", after.difference(&before).collect::<Vec<_>>());
    }

    #[test]
    fn the_platforms_own_is_given_by_its_admin_alone(caller in start(), (role, scope) in held()) {
        let caller = caller.caller(1, None);
        prop_assume!(!caller.is_platform_admin());
        let given = Assignment { role: State { roles: [PermissionSet::of_platform(); ROLES], ..start_empty() }.role(role), scope };
        if given.role.permissions().intersection(PermissionSet::of_platform()) != PermissionSet::EMPTY {
            prop_assert!(may_give(&caller, &given, TENANT).is_err());
        }
    }
}

fn start_empty() -> State {
    State {
        held: vec![Vec::new(); HOLDERS],
        members: BTreeSet::new(),
        roles: [PermissionSet::EMPTY; ROLES],
        keys: Vec::new(),
    }
}

#[test]
fn something_is_given_where_it_may_be() {
    let mut state = start_empty();
    state.held[0].push((HeldRole::System(SystemRole::TenantAdmin), AssignmentScope::Tenant(TENANT)));
    let read = PermissionSet::parse(["records:read", "domains:read"]).expect("known");
    let admin = By::User(0);
    state.take(&admin, &Step::Bundle { role: 1, permissions: read });
    state.take(&admin, &Step::Assign { role: HeldRole::Own(1), scope: AssignmentScope::Tenant(TENANT), to: 1 });
    assert!(decide_tenant(&state.caller(1, None), Permission::RecordsRead).is_ok());
    assert!(decide_tenant(&state.caller(1, None), Permission::RecordsCreate).is_err());
    let grant = Step::Grant { role: HeldRole::System(SystemRole::DomainAdmin), zone: ZONES[0], part: None, to: GROUP };
    state.take(&By::User(1), &grant);
    assert!(state.held[GROUP].is_empty(), "who only reads gives nothing");
    state.take(&admin, &grant);
    state.take(&admin, &Step::Join { who: 2 });
    assert!(decide_zone(&state.caller(2, None), Permission::AccessGrantsCreate, ZONES[0]).is_ok());
    state.take(&By::User(2), &Step::Key { of: GROUP, scopes: None });
    state.take(&By::User(2), &Step::Key { of: 0, scopes: None });
    assert_eq!(state.keys, [(GROUP, None)], "a key of one's group, and none of somebody stronger");
}
