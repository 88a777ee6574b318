//! Two replicas on one MariaDB: one changes rights, the other remembers them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde_json::json;
use time::OffsetDateTime;

use super::secret::NewSecret;
use super::*;
use crate::authz::{Actor, SystemRole};
use crate::ids::{ApiKeyId, GroupId, PartnerId, UserId};
use crate::scaikey::testing::TestScaiKey;
use crate::service::RequestInfo;
use crate::storage::api_keys::{self, AllowedNetwork, ApiKeyRow, Source};
use crate::storage::directory::{self, GroupRow, MemberKind, Membership, PartnerRow, UserRow, Was};
use crate::storage::revocations::{self, RightsTx};
use crate::storage::testing;
use crate::tenancy::{AdminRole, Standing};

/// The contract's second.
const LIMIT: Duration = Duration::from_secs(1);
/// Between two requests, so that the replica comes to reading meanwhile: one thread runs it all.
const PACE: Duration = Duration::from_millis(2);

/// A user with a key, in a group that may read, in a tenant of a partner; and a second tenant.
struct World {
    scaikey: TestScaiKey,
    db: Db,
    /// Follows revocations.
    replica: Identity,
    replica_db: Db,
    partner: PartnerRow,
    tenant: TenantRow,
    other: TenantRow,
    user: UserRow,
    group: GroupRow,
    key: ApiKeyRow,
    secret: String,
}

impl World {
    async fn start() -> Self {
        let scaikey = TestScaiKey::start().await;
        let db = testing::database().await;
        // the same schema, another pool
        let replica_db = Db::from_pool(
            sqlx::mysql::MySqlPoolOptions::new()
                .max_connections(3)
                .connect_lazy_with((*db.pool().connect_options()).clone()),
        );
        let replica = identity(&scaikey, &replica_db);
        let (partner, tenant, other) = (partner(), tenant("tnt_1"), tenant("tnt_2"));
        let tenant = TenantRow { partner: Some(partner.id), ..tenant };
        let user = user(&tenant);
        let group = group(&tenant);
        let secret = NewSecret::random().secret;
        let key = key(&tenant, &user);
        let hash = replica.peppers().newest(&secret).expect("a pepper");
        let mut tx = revocations::begin(&db).await.expect("begins");
        directory::upsert_partners(&mut tx, &[(Was::Absent, &partner)]).await.expect("a partner");
        directory::upsert_tenants(&mut tx, &[(Was::Absent, &tenant)]).await.expect("a tenant");
        directory::upsert_tenants(&mut tx, &[(Was::Absent, &other)]).await.expect("a tenant");
        directory::upsert_users(&mut tx, &[(Was::Absent, &user)]).await.expect("a user");
        directory::upsert_groups(&mut tx, &[(Was::Absent, &group)]).await.expect("a group");
        directory::add_members(&mut tx, &[Membership::new(&group, MemberKind::User, user.id.0)])
            .await
            .expect("a member");
        assign(&mut tx, &tenant, &group).await;
        api_keys::insert(&mut tx, &key, &hash).await.expect("a key");
        let _ = tx.commit().await.expect("commits");
        tokio::spawn({
            let replica = replica.clone();
            async move { replica.follow_revocations().await }
        });
        let secret = secret.expose_secret().to_owned();
        Self { scaikey, db, replica, replica_db, partner, tenant, other, user, group, key, secret }
    }

    fn token(&self) -> String {
        self.scaikey.token(json!({"sub": self.user.scaikey_id}))
    }

    /// What the replica makes of the key and of the token: the roles held, or why not.
    async fn seen(&self) -> [std::result::Result<Vec<SystemRole>, String>; 2] {
        let roles = |caller: Result<Caller>| match caller {
            Ok(caller) => Ok(caller.assignments.iter().filter_map(|held| SystemRole::by_id(held.role.id())).collect()),
            Err(error) => Err(error.to_string()),
        };
        [
            roles(self.replica.caller_by_api_key(&self.secret, &request()).await.map(|known| known.caller)),
            roles(self.replica.caller_by_token(&self.token(), None, &request()).await.map(|known| known.caller)),
        ]
    }

    /// Uses key and token until the replica remembers both, makes the change, and waits for what follows.
    async fn after(
        &self,
        what: &str,
        change: impl AsyncFnOnce(&mut RightsTx),
        follows: impl Fn(&[std::result::Result<Vec<SystemRole>, String>; 2]) -> bool,
    ) {
        self.until_remembered().await;
        let mut tx = revocations::begin(&self.db).await.expect("begins");
        change(&mut tx).await;
        let _ = tx.commit().await.expect("commits");
        let committed = Instant::now();
        loop {
            let began = Instant::now();
            let seen = self.seen().await;
            if follows(&seen) {
                break;
            }
            assert!(began - committed < LIMIT, "{what}: {seen:?}");
            tokio::time::sleep(PACE).await;
        }
        assert!(follows(&self.seen().await), "{what}: and it stays");
    }

    async fn until_remembered(&self) {
        let began = Instant::now();
        loop {
            let seen = self.seen().await;
            assert!(seen.iter().all(std::result::Result::is_ok), "{seen:?}");
            let hash = self.replica.peppers().newest(&self.secret.clone().into()).expect("a pepper");
            let knows_key = self.replica.0.keys.knows(&hash);
            if knows_key && self.replica.0.users.knows(&self.user.scaikey_id) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "the replica never remembers");
            tokio::time::sleep(PACE).await;
        }
    }
}

fn request() -> RequestInfo {
    RequestInfo { ip_address: address(), ..RequestInfo::none() }
}

fn address() -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, 7]))
}

fn identity(scaikey: &TestScaiKey, db: &Db) -> Identity {
    let config = Config::from_lookup(|name| {
        let value = match name {
            "DATABASE_URL" => "mysql://nobody@127.0.0.1:1/none",
            "REDIS_URL" => "redis://127.0.0.1",
            "PDNS_API_URL" | "EXTERNAL_URL" | "SCAIKEY_URL" => "http://127.0.0.1:1",
            "SCAIKEY_CLIENT_ID" | "PDNS_API_KEY" | "SCAIKEY_CLIENT_SECRET" => "x",
            "SCAIKEY_APPLICATION_ID" | "SCAIKEY_WEBHOOK_SECRET" => "x",
            "SESSION_SECRET" | "API_KEY_PEPPER" => "0123456789abcdef0123456789abcdef",
            _ => return None,
        };
        Some(value.to_owned())
    });
    let scaikey = scaikey.client(Duration::from_secs(60));
    Identity::new(&config.expect("complete"), Clock::system(), db.clone(), scaikey)
}

const AT: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn partner() -> PartnerRow {
    let (id, name) = (PartnerId::new(), "prt_1".to_owned());
    let (scaikey_id, slug, status) = (name.clone(), name.clone(), Standing::Active);
    PartnerRow { id, scaikey_id, name, slug, status, stated_at: AT, created_at: AT, updated_at: AT }
}

fn tenant(scaikey_id: &str) -> TenantRow {
    TenantRow {
        id: TenantId::new(),
        scaikey_id: scaikey_id.into(),
        partner: None,
        name: scaikey_id.into(),
        slug: scaikey_id.into(),
        status: Standing::Active,
        partner_status: None,
        settings: "{}".into(),
        stated_at: AT,
        created_at: AT,
        updated_at: AT,
    }
}

fn user(home: &TenantRow) -> UserRow {
    UserRow {
        id: UserId::new(),
        scaikey_id: "usr_1".into(),
        tenant: home.id,
        email: "ada@example.org".into(),
        name: "Ada".into(),
        status: Standing::Active,
        admin_role: AdminRole::None,
        stated_at: AT,
        admin_role_stated_at: AT,
        created_at: AT,
        updated_at: AT,
    }
}

fn group(home: &TenantRow) -> GroupRow {
    GroupRow {
        id: GroupId::new(),
        scaikey_id: "grp_1".into(),
        tenant: home.id,
        name: "readers".into(),
        description: String::new(),
        group_type: "SECURITY".into(),
        status: Standing::Active,
        stated_at: AT,
        created_at: AT,
        updated_at: AT,
    }
}

fn key(tenant: &TenantRow, owner: &UserRow) -> ApiKeyRow {
    ApiKeyRow {
        id: ApiKeyId::new(),
        tenant: tenant.id,
        name: "key".into(),
        description: None,
        key_prefix: "sdk_live_ab".into(),
        revoked: false,
        source: Source::User(owner.id),
        source_scaikey_id: owner.scaikey_id.clone(),
        scopes: None,
        rate_limit: None,
        ip_whitelist: vec![],
        expires_at: None,
        last_used_at: None,
        last_used_ip: None,
        use_count: 0,
        created_at: AT,
        updated_at: AT,
    }
}

async fn assign(tx: &mut RightsTx, tenant: &TenantRow, group: &GroupRow) {
    let sql = "INSERT INTO role_assignments (id, tenant_id, role, assignee_type, assignee_id, scope, created_at) \
               VALUES (?, ?, 'read_only', 'group', ?, 'tenant', NOW(6))";
    let query = sqlx::query(sql).bind(uuid::Uuid::now_v7()).bind(tenant.id.0).bind(group.id.0);
    query.execute(&mut ***tx).await.expect("an assignment");
}

#[tokio::test]
async fn whatever_ends_a_key_ends_it_at_the_replica_that_remembers_it_and_so_it_comes_back() {
    let world = World::start().await;
    let key = &world.key;
    let refused = |seen: &[std::result::Result<Vec<SystemRole>, String>; 2]| seen[0].is_err() && seen[1].is_ok();
    let works = |seen: &[std::result::Result<Vec<SystemRole>, String>; 2]| seen[0].is_ok() && seen[1].is_ok();
    let elsewhere = vec![AllowedNetwork::parse("198.51.100.0/24").expect("a network")];
    for (what, ended) in [
        ("revoked", ApiKeyRow { revoked: true, ..key.clone() }),
        ("narrowed", ApiKeyRow { ip_whitelist: elsewhere, ..key.clone() }),
        ("expired", ApiKeyRow { expires_at: Some(AT), ..key.clone() }),
    ] {
        let update = async |tx: &mut RightsTx| api_keys::update(tx, &ended).await.expect(what);
        world.after(what, update, refused).await;
        // what is given back works at once: no is not said from memory
        let mut tx = revocations::begin(&world.db).await.expect("begins");
        api_keys::update(&mut tx, key).await.expect("given back");
        let _ = tx.commit().await.expect("commits");
        assert!(works(&world.seen().await), "{what} and given back");
    }
    let hash = world.replica.peppers().newest(&NewSecret::random().secret).expect("a pepper");
    let another = async |tx: &mut RightsTx| api_keys::replace_secret(tx, key, &hash).await.expect("replaced");
    world.after("another secret", another, refused).await;
    let hash = world.replica.peppers().newest(&world.secret.clone().into()).expect("a pepper");
    let back = async |tx: &mut RightsTx| api_keys::replace_secret(tx, key, &hash).await.expect("replaced");
    let mut tx = revocations::begin(&world.db).await.expect("begins");
    back(&mut tx).await;
    let _ = tx.commit().await.expect("commits");
    let delete = async |tx: &mut RightsTx| api_keys::delete(tx, key.id).await.expect("deleted");
    world.after("deleted", delete, refused).await;
}

#[tokio::test]
async fn whatever_the_mirror_hears_reaches_the_replica_that_remembers() {
    type Seen = [std::result::Result<Vec<SystemRole>, String>; 2];
    let world = World::start().await;
    let World { partner, tenant, user, group, .. } = &world;
    let refused = |seen: &Seen| seen.iter().all(std::result::Result::is_err);
    let holds = |roles: &'static [SystemRole]| {
        move |seen: &Seen| seen.iter().all(|held| held.as_ref().is_ok_and(|held| held == roles))
    };
    let reads = holds(&[SystemRole::ReadOnly]);
    assert!(reads(&world.seen().await));

    let suspended = UserRow { status: Standing::Suspended, ..user.clone() };
    let write = async |tx: &mut RightsTx, before: &UserRow, after: &UserRow| {
        directory::upsert_users(tx, &[(Was::Other(before), after)]).await.expect("a user");
    };
    world.after("user suspended", async |tx: &mut RightsTx| write(tx, user, &suspended).await, refused).await;
    restore(&world, async |tx: &mut RightsTx| write(tx, &suspended, user).await).await;

    let admin = UserRow { admin_role: AdminRole::TenantAdmin, ..user.clone() };
    let both = holds(&[SystemRole::TenantAdmin, SystemRole::ReadOnly]);
    world.after("user made admin", async |tx: &mut RightsTx| write(tx, user, &admin).await, both).await;
    world.after("user no longer admin", async |tx: &mut RightsTx| write(tx, &admin, user).await, &reads).await;

    let moved = UserRow { tenant: world.other.id, ..user.clone() };
    world.after("user moved", async |tx: &mut RightsTx| write(tx, user, &moved).await, refused).await;
    restore(&world, async |tx: &mut RightsTx| write(tx, &moved, user).await).await;

    let closed = GroupRow { status: Standing::Suspended, ..group.clone() };
    let write = async |tx: &mut RightsTx, before: &GroupRow, after: &GroupRow| {
        directory::upsert_groups(tx, &[(Was::Other(before), after)]).await.expect("a group");
    };
    world.after("group suspended", async |tx: &mut RightsTx| write(tx, group, &closed).await, holds(&[])).await;
    world.after("group active", async |tx: &mut RightsTx| write(tx, &closed, group).await, &reads).await;

    let inner = GroupRow { id: GroupId::new(), scaikey_id: "grp_2".into(), ..group.clone() };
    let join = async |tx: &mut RightsTx| {
        directory::upsert_groups(tx, &[(Was::Absent, &inner)]).await.expect("a group");
        assign(tx, tenant, &inner).await;
        let member = Membership::new(&inner, MemberKind::User, user.id.0);
        assert_eq!(directory::add_members(tx, &[member]).await.expect("a member"), 1);
    };
    world.after("user in another group", join, holds(&[SystemRole::ReadOnly, SystemRole::ReadOnly])).await;

    let closed = TenantRow { status: Standing::Suspended, ..tenant.clone() };
    let write = async |tx: &mut RightsTx, before: &TenantRow, after: &TenantRow| {
        directory::upsert_tenants(tx, &[(Was::Other(before), after)]).await.expect("a tenant");
    };
    world.after("tenant suspended", async |tx: &mut RightsTx| write(tx, tenant, &closed).await, refused).await;
    restore(&world, async |tx: &mut RightsTx| write(tx, &closed, tenant).await).await;

    let closed = PartnerRow { status: Standing::Suspended, ..partner.clone() };
    let suspend = async |tx: &mut RightsTx| {
        directory::upsert_partners(tx, &[(Was::Other(partner), &closed)]).await.expect("a partner");
    };
    world.after("partner suspended", suspend, refused).await;
}

async fn restore(world: &World, change: impl AsyncFnOnce(&mut RightsTx)) {
    let mut tx = revocations::begin(&world.db).await.expect("begins");
    change(&mut tx).await;
    let _ = tx.commit().await.expect("commits");
}

#[tokio::test]
async fn a_statement_that_changes_nothing_revokes_nothing() {
    let world = World::start().await;
    let World { partner, tenant, user, group, .. } = &world;
    let mut tx = revocations::begin(&world.db).await.expect("begins");
    directory::upsert_partners(&mut tx, &[(Was::Same, partner)]).await.expect("a partner");
    directory::upsert_tenants(&mut tx, &[(Was::Same, tenant)]).await.expect("a tenant");
    directory::upsert_users(&mut tx, &[(Was::Same, user)]).await.expect("a user");
    directory::upsert_groups(&mut tx, &[(Was::Same, group)]).await.expect("a group");
    let member = Membership::new(group, MemberKind::User, user.id.0);
    assert_eq!(directory::add_members(&mut tx, &[member]).await.expect("a member"), 0);
    directory::state_admin_role(&mut tx, user, user.admin_role, AT, AT).await.expect("stated");
    assert_eq!(tx.commit().await.expect("commits").0, []);
    // one that was thought to be new and was not, as at a first login meanwhile
    let mut tx = revocations::begin(&world.db).await.expect("begins");
    let other = UserRow { id: UserId::new(), status: Standing::Suspended, ..user.clone() };
    let refused = directory::upsert_users(&mut tx, &[(Was::Absent, &other)]).await.expect_err("it is there");
    assert!(refused.is_duplicate_of("users_scaikey_id"), "{refused}");
}

#[tokio::test]
async fn a_token_with_news_is_heard_at_once_and_the_other_replica_hears_of_it() {
    let world = World::start().await;
    let speaker = identity(&world.scaikey, &world.db);
    let began = OffsetDateTime::now_utc().unix_timestamp() - 100;
    let token = |at: i64, role: &str| {
        let claims = json!({"sub": world.user.scaikey_id, "iat": began + at, "role": role});
        world.scaikey.token(claims)
    };
    let is_admin = async |identity: &Identity, token: &str| {
        identity.caller_by_token(token, None, &request()).await.expect("accepted").caller.is_tenant_admin()
    };
    world.until_remembered().await;
    assert!(is_admin(&world.replica, &token(1, "tenant_admin")).await, "a remembered user is asked about");
    assert!(is_admin(&world.replica, &token(0, "user")).await, "an older statement is none");
    let key_is_admin = async || {
        let caller = world.replica.caller_by_api_key(&world.secret, &request()).await;
        caller.expect("accepted").caller.is_tenant_admin()
    };
    assert!(key_is_admin().await);
    world.until_remembered().await;
    assert!(!is_admin(&speaker, &token(2, "user")).await);
    let heard = Instant::now();
    loop {
        let began = Instant::now();
        if !key_is_admin().await && !is_admin(&world.replica, &world.token()).await {
            break;
        }
        assert!(began - heard < LIMIT);
        tokio::time::sleep(PACE).await;
    }
}

#[tokio::test]
async fn a_remembered_caller_is_known_without_the_database() {
    let world = World::start().await;
    world.until_remembered().await;
    world.replica_db.close().await;
    let caller = world.replica.caller_by_api_key(&world.secret, &request()).await.expect("by key").caller;
    let context = Context { caller, request: RequestInfo::none() };
    let profile = world.replica.profile(&context).expect("a profile");
    assert_eq!((profile.id.as_str(), profile.name.as_str()), ("usr_1", "Ada"));
    let caller = world.replica.caller_by_token(&world.token(), None, &request()).await.expect("by token").caller;
    assert!(matches!(caller.actor, Actor::User { .. }));
    let foreign = NewSecret::random().secret;
    let unknown = world.replica.caller_by_api_key(foreign.expose_secret(), &request()).await;
    assert!(matches!(unknown, Err(Error::Unavailable { .. })), "{unknown:?}");
}

#[tokio::test]
async fn a_replica_that_does_not_read_revocations_remembers_nothing() {
    let world = World::start().await;
    let alone = identity(&world.scaikey, &world.db);
    let by_key = async || alone.caller_by_api_key(&world.secret, &request()).await.is_ok();
    let by_token = async || alone.caller_by_token(&world.token(), None, &request()).await.is_ok();
    assert!(by_key().await && by_token().await);
    let sql = "UPDATE users SET status = 'suspended'";
    sqlx::query(sql).execute(world.db.pool()).await.expect("suspended by hand");
    assert!(!by_key().await && !by_token().await);
}
