//! Keys, callers and the audit log as a client sees them: the whole router over a real MariaDB and a real ScaiKey key.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt;

use crate::clock::Clock;
use crate::config::Config;
use crate::ids::{GroupId, PartnerId, TenantId, UserId};
use crate::scaikey::testing::TestScaiKey;
use crate::service::Services;
use crate::storage::directory::{self, GroupRow, MemberKind, Membership, PartnerRow, TenantRow, UserRow, Was};
use crate::storage::revocations::{self, RightsTx};
use crate::tenancy::{AdminRole, Standing};

/// Two tenants of one partner and one of another; in each a tenant admin and a plain user.
struct World {
    scaikey: TestScaiKey,
    services: Arc<Services>,
    router: Router,
}

impl World {
    async fn start() -> Self {
        let scaikey = TestScaiKey::start().await;
        let database = crate::storage::testing::database_url().await;
        let config = Config::from_lookup(|name| {
            let value = match name {
                "DATABASE_URL" => &database,
                "REDIS_URL" => "redis://127.0.0.1",
                "PDNS_API_URL" | "EXTERNAL_URL" => "http://127.0.0.1:1",
                "SCAIKEY_URL" => &scaikey.base,
                "SCAIKEY_CLIENT_ID" => crate::scaikey::testing::CLIENT_ID,
                "PDNS_API_KEY" | "SCAIKEY_CLIENT_SECRET" | "SCAIKEY_APPLICATION_ID" | "SCAIKEY_WEBHOOK_SECRET" => "x",
                "SESSION_SECRET" | "API_KEY_PEPPER" => "0123456789abcdef0123456789abcdef",
                "NAMESERVERS" => "ns1.dns.example",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let services = Services::new(Arc::new(config.expect("complete")), Clock::system()).expect("services");
        let services = Arc::new(services);
        let world = Self { scaikey, router: crate::http::router(services.clone()), services };
        world.seed().await;
        world
    }

    async fn seed(&self) {
        let at = OffsetDateTime::UNIX_EPOCH;
        let mut tx = revocations::begin(&self.services.db).await.expect("a transaction");
        let mut partners = Vec::new();
        for name in ["prt_1", "prt_2"] {
            let row = PartnerRow {
                id: PartnerId::new(),
                scaikey_id: name.into(),
                name: name.into(),
                slug: name.into(),
                status: Standing::Active,
                stated_at: at,
                created_at: at,
                updated_at: at,
            };
            directory::upsert_partners(&mut tx, &[(Was::Absent, &row)]).await.expect("a partner");
            partners.push(row.id);
        }
        for (number, partner) in [(1, partners[0]), (2, partners[0]), (3, partners[1])] {
            let tenant = TenantRow {
                id: TenantId::new(),
                scaikey_id: format!("tnt_{number}"),
                partner: Some(partner),
                name: format!("Tenant {number}"),
                slug: format!("tenant-{number}"),
                status: Standing::Active,
                partner_status: None,
                settings: "{}".into(),
                stated_at: at,
                created_at: at,
                updated_at: at,
            };
            directory::upsert_tenants(&mut tx, &[(Was::Absent, &tenant)]).await.expect("a tenant");
            for (name, admin_role) in [("admin", AdminRole::TenantAdmin), ("plain", AdminRole::None)] {
                let user = UserRow {
                    id: UserId::new(),
                    scaikey_id: format!("usr_{name}{number}"),
                    tenant: tenant.id,
                    email: format!("{name}{number}@example.org"),
                    name: name.into(),
                    status: Standing::Active,
                    admin_role,
                    stated_at: at,
                    admin_role_stated_at: at,
                    created_at: at,
                    updated_at: at,
                };
                directory::upsert_users(&mut tx, &[(Was::Absent, &user)]).await.expect("a user");
                if name == "plain" {
                    self.seed_groups(&mut tx, &user, number).await;
                }
            }
        }
        self.services.identity.forget(&tx.commit().await.expect("commits"));
    }

    /// The plain user is in `grp_inner`, which is in `grp_outer`, which is in `grp_inner`.
    async fn seed_groups(&self, tx: &mut RightsTx, user: &UserRow, number: u32) {
        let at = OffsetDateTime::UNIX_EPOCH;
        let mut groups = Vec::new();
        for name in ["inner", "outer"] {
            let row = GroupRow {
                id: GroupId::new(),
                scaikey_id: format!("grp_{name}{number}"),
                tenant: user.tenant,
                name: name.into(),
                description: String::new(),
                group_type: "SECURITY".into(),
                status: Standing::Active,
                stated_at: at,
                created_at: at,
                updated_at: at,
            };
            directory::upsert_groups(tx, &[(Was::Absent, &row)]).await.expect("a group");
            groups.push(row);
        }
        let [inner, outer] = &groups[..] else { panic!("two groups") };
        for (group, kind, member) in [
            (inner, MemberKind::User, user.id.0),
            (outer, MemberKind::Group, inner.id.0),
            (inner, MemberKind::Group, outer.id.0),
        ] {
            let member = Membership::new(group, kind, member);
            assert_eq!(directory::add_members(tx, &[member]).await.expect("a member"), 1);
        }
        let assign = "INSERT INTO role_assignments (id, tenant_id, role, assignee_type, assignee_id, scope, created_at) \
                      VALUES (?, ?, 'read_only', 'group', ?, 'tenant', ?)";
        let query = sqlx::query(assign).bind(uuid::Uuid::now_v7()).bind(user.tenant.0).bind(outer.id.0).bind(at);
        query.execute(&mut ***tx).await.expect("an assignment");
    }

    fn token(&self, user: &str, changes: Value) -> String {
        let number = user.trim_start_matches(|c: char| !c.is_ascii_digit());
        let mut claims = json!({"sub": user, "tenant_id": format!("tnt_{number}")});
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        self.scaikey.token(claims)
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(value) => {
                request = request.header("content-type", "application/json");
                Body::from(value.to_string())
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).expect("a request");
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 1_000))));
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn by_token(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call(method, path, &[("authorization", &format!("Bearer {token}"))], body).await
    }

    async fn by_key(&self, key: &str) -> (StatusCode, Value) {
        self.call("GET", "/auth/me", &[("x-api-key", key)], None).await
    }

    /// A key for the user itself, as `{…item, key}`.
    async fn key_of(&self, user: &str, more: Value) -> Value {
        let mut body = json!({"name": "k", "permission_source": "user", "permission_source_id": user});
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let (status, key) = self.by_token(&self.token(user, json!({})), "POST", "/api-keys/", Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{key}");
        key
    }

    async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.services.db.pool()).await.expect("the statement runs");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_key_has_what_its_owner_has_through_nested_groups_narrowed_by_its_scopes() {
    let world = World::start().await;
    let all = world.key_of("usr_plain1", json!({})).await;
    let (status, me) = world.by_key(text(&all["key"])).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(me["data"]["id"], "usr_plain1");
    assert_eq!(me["data"]["api_key"]["id"], all["id"]);
    assert_eq!(me["data"]["permissions"], json!(["domains:read", "records:read", "dnssec:read", "templates:read"]));
    let narrow = world.key_of("usr_plain1", json!({"scopes": ["records:read"]})).await;
    let (_, me) = world.by_key(text(&narrow["key"])).await;
    assert_eq!(me["data"]["permissions"], json!(["records:read"]));
    let of_group = json!({"permission_source": "group", "permission_source_id": "grp_inner1"});
    let group_key = world.key_of("usr_plain1", of_group).await;
    let (_, me) = world.by_key(text(&group_key["key"])).await;
    assert_eq!((&me["data"]["id"], &me["data"]["email"]), (&json!("grp_inner1"), &Value::Null));
    assert_eq!(me["data"]["permissions"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_dead_key_is_refused_at_once() {
    let world = World::start().await;
    let token = world.token("usr_plain1", json!({}));
    let key = world.key_of("usr_plain1", json!({})).await;
    let (path, secret) = (format!("/api-keys/{}", text(&key["id"])), text(&key["key"]).to_owned());
    assert_eq!(world.by_key(&secret).await.0, StatusCode::OK);
    let (_, absent) = world.by_token(&token, "POST", &format!("{path}/revoke"), Some(json!({"why": "?"}))).await;
    assert_eq!(absent["code"], "validation_error");
    let (status, revoked) = world.by_token(&token, "POST", &format!("{path}/revoke"), None).await;
    assert_eq!((status, &revoked["status"]), (StatusCode::OK, &json!("revoked")));
    assert_eq!(world.by_key(&secret).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.by_token(&token, "POST", &format!("{path}/regenerate"), None).await.0, StatusCode::CONFLICT);
    assert_eq!(world.by_token(&token, "POST", &format!("{path}/activate"), None).await.0, StatusCode::OK);
    assert_eq!(world.by_key(&secret).await.0, StatusCode::OK);
    let (_, fresh) = world.by_token(&token, "POST", &format!("{path}/regenerate"), None).await;
    assert_eq!(world.by_key(&secret).await.0, StatusCode::UNAUTHORIZED, "the old secret");
    assert_eq!(world.by_key(text(&fresh["key"])).await.0, StatusCode::OK, "the new secret");
    let past = json!({"expires_at": "2020-01-01T00:00:00Z"});
    let (_, expired) = world.by_token(&token, "PATCH", &path, Some(past)).await;
    assert_eq!(expired["status"], "expired");
    assert_eq!(world.by_key(text(&fresh["key"])).await.0, StatusCode::UNAUTHORIZED);
    let elsewhere = json!({"expires_at": null, "ip_whitelist": ["198.51.100.0/24"]});
    assert_eq!(world.by_token(&token, "PATCH", &path, Some(elsewhere)).await.0, StatusCode::OK);
    assert_eq!(world.by_key(text(&fresh["key"])).await.0, StatusCode::FORBIDDEN);
    let here = json!({"ip_whitelist": ["192.0.2.7"]});
    assert_eq!(world.by_token(&token, "PATCH", &path, Some(here)).await.0, StatusCode::OK);
    assert_eq!(world.by_key(text(&fresh["key"])).await.0, StatusCode::OK);
    world.sql("UPDATE users SET status = 'suspended' WHERE scaikey_id = 'usr_plain1'").await;
    assert_eq!(world.by_key(text(&fresh["key"])).await.0, StatusCode::FORBIDDEN);
    world.sql("UPDATE users SET status = 'active'").await;
    assert_eq!(world.by_token(&token, "DELETE", &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.by_token(&token, "GET", &path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.by_key(text(&fresh["key"])).await.0, StatusCode::UNAUTHORIZED);
    let (_, log) = world.by_token(&world.token("usr_admin1", json!({})), "GET", "/admin/audit-logs/", None).await;
    let entries = log["data"].as_array().expect("entries");
    let actions: Vec<&str> =
        entries.iter().map(|entry| text(&entry["action"])).filter(|a| *a != "api_key.use").collect();
    let expected = ["delete", "update", "update", "update", "regenerate", "activate", "revoke", "create"];
    assert_eq!(actions, expected.map(|verb| format!("api_key.{verb}")));
    assert!(!log.to_string().contains(&secret), "no secret is logged");
}

#[tokio::test]
async fn nobody_hands_out_more_than_it_holds() {
    let world = World::start().await;
    let create = async |token: &str, source: &str, id: &str, scopes: Value| {
        let mut body = json!({"name": "k", "permission_source": source, "permission_source_id": id});
        if !scopes.is_null() {
            body["scopes"] = scopes;
        }
        world.by_token(token, "POST", "/api-keys/", Some(body)).await.0.as_u16()
    };
    let plain = world.token("usr_plain1", json!({}));
    let admin = world.token("usr_admin1", json!({}));
    assert_eq!(create(&plain, "user", "usr_admin1", Value::Null).await, 403);
    assert_eq!(create(&admin, "user", "usr_plain1", Value::Null).await, 200);
    assert_eq!(create(&admin, "group", "grp_outer1", json!(["records:read"])).await, 200);
    for (source, id) in
        [("user", "usr_plain2"), ("user", "usr_none"), ("group", "grp_inner2"), ("user", "grp_inner1"), ("user", "\0")]
    {
        assert_eq!(create(&admin, source, id, Value::Null).await, 404, "{id:?}");
    }
    assert_eq!(create(&admin, "user", "usr_plain1", json!(["records:write"])).await, 403);
    assert_eq!(create(&admin, "user", "usr_plain1", json!(["records:fly"])).await, 400);
    assert_eq!(create(&admin, "robot", "usr_plain1", Value::Null).await, 400);
    world.sql("UPDATE users SET admin_role = 'super_admin' WHERE scaikey_id = 'usr_plain1'").await;
    assert_eq!(create(&admin, "user", "usr_plain1", Value::Null).await, 403);
    world.sql("UPDATE tenants SET settings = '{\"max_api_keys\": 2}'").await;
    assert_eq!(create(&admin, "user", "usr_admin1", Value::Null).await, 403);
}

#[tokio::test]
async fn a_key_manages_no_keys_and_sees_no_other_tenant() {
    let world = World::start().await;
    let key = world.key_of("usr_admin1", json!({})).await;
    let path = format!("/api-keys/{}", text(&key["id"]));
    let secret = text(&key["key"]);
    let headers = [("x-api-key", secret)];
    assert_eq!(world.call("GET", "/api-keys", &headers, None).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.call("DELETE", &path, &headers, None).await.0, StatusCode::FORBIDDEN);
    // whatever else is wrong with what it asks
    for (method, path) in [
        ("GET", "/api-keys/?page=0"),
        ("POST", "/api-keys/"),
        ("GET", "/api-keys/none"),
        ("PATCH", "/api-keys/none"),
        ("DELETE", "/api-keys/none"),
        ("POST", "/api-keys/none/regenerate"),
        ("POST", "/api-keys/none/revoke"),
        ("POST", "/api-keys/none/activate"),
    ] {
        for body in [None, Some(json!({"colour": "red"})), Some(json!([1]))] {
            let (status, answer) = world.call(method, path, &headers, body.clone()).await;
            let found = (status, &answer["code"]);
            assert_eq!(found, (StatusCode::FORBIDDEN, &json!("key_not_accepted")), "{method} {path} {body:?}");
        }
    }
    let with_tenant = [("x-api-key", secret), ("x-tenant-id", "tnt_1")];
    assert_eq!(world.call("GET", "/me", &with_tenant, None).await.0, StatusCode::BAD_REQUEST);
    for other in ["usr_admin2", "usr_plain1"] {
        let token = world.token(other, json!({}));
        for (method, path) in [("GET", path.clone()), ("POST", format!("{path}/regenerate")), ("DELETE", path.clone())]
        {
            assert_eq!(world.by_token(&token, method, &path, None).await.0, StatusCode::NOT_FOUND, "{other} {method}");
        }
    }
    let (_, list) = world.by_token(&world.token("usr_plain1", json!({})), "GET", "/api-keys/", None).await;
    assert_eq!(list["total"], 0);
}

#[tokio::test]
async fn roles_follow_the_newest_statement_and_reach_no_further() {
    let world = World::start().await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let me = async |token: &str, tenant: Option<&str>| {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(tenant.map(|tenant| ("x-tenant-id", tenant)));
        let (status, body) = world.call("GET", "/me/", &headers, None).await;
        (status.as_u16(), body["data"]["is_platform_admin"] == true, body["data"]["is_tenant_admin"] == true)
    };
    let partner = world.token("usr_plain1", json!({"role": "partner_admin", "iat": now - 60}));
    assert_eq!(me(&partner, None).await, (200, false, true));
    assert_eq!(me(&partner, Some("tnt_2")).await, (200, false, true));
    assert_eq!(me(&partner, Some("tnt_3")).await.0, 404);
    assert_eq!(me(&partner, Some("t_nothing")).await.0, 404);
    let claimed = world.token("usr_plain1", json!({"tenant_id": "tnt_2", "iat": now - 60}));
    assert_eq!(me(&claimed, None).await, (200, false, true));
    let demoted = world.token("usr_plain1", json!({"roles": [], "iat": now - 30}));
    assert_eq!(me(&demoted, None).await, (200, false, false));
    assert_eq!(me(&partner, Some("tnt_2")).await.0, 404, "the older statement counts no more");
    assert_eq!(me(&claimed, None).await.0, 401);
    let raised = world.token("usr_plain1", json!({"role": "super_admin", "iat": now - 20}));
    assert_eq!(me(&raised, Some("tnt_3")).await, (200, true, true));
    let issuer = format!("{}/tenants/tnt_1", world.scaikey.base);
    let tenant_login = world.token("usr_plain1", json!({"iss": issuer, "role": "super_admin", "iat": now - 10}));
    assert_eq!(me(&tenant_login, None).await, (200, false, false), "a tenant's issuer gives no platform role");
    let foreign = world.token("usr_plain2", json!({"tenant_id": "tnt_3", "role": "tenant_admin"}));
    assert_eq!(me(&foreign, None).await.0, 401);
    let own = world.token("usr_plain2", json!({}));
    assert_eq!(me(&own, None).await, (200, false, false), "a claim about another tenant was not heard");
}

#[tokio::test]
async fn a_first_login_goes_into_a_known_and_active_tenant_only() {
    let world = World::start().await;
    let login = async |changes: Value| {
        let mut claims = json!({"sub": "usr_new", "tenant_id": "tnt_1", "role": "tenant_admin"});
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        world.by_token(&world.scaikey.token(claims), "GET", "/auth/me", None).await
    };
    assert_eq!(login(json!({"tenant_id": "tnt_unknown"})).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(login(json!({"tenant_id": null})).await.0, StatusCode::UNAUTHORIZED);
    world.sql("UPDATE partners SET status = 'suspended' WHERE scaikey_id = 'prt_1'").await;
    assert_eq!(login(json!({})).await.0, StatusCode::FORBIDDEN);
    world.sql("UPDATE partners SET status = 'active'").await;
    let (status, me) = login(json!({})).await;
    assert_eq!((status, &me["data"]["email"]), (StatusCode::OK, &json!("ada@example.org")));
    assert_eq!(me["data"]["is_tenant_admin"], true);
    world.sql("UPDATE users SET status = 'inactive' WHERE scaikey_id = 'usr_new'").await;
    assert_eq!(login(json!({})).await.0, StatusCode::FORBIDDEN, "a login revives nobody");
}

#[tokio::test]
async fn lists_are_walked_by_page_and_by_cursor() {
    let world = World::start().await;
    let token = world.token("usr_admin1", json!({}));
    for name in ["a", "b", "c"] {
        world.key_of("usr_admin1", json!({"name": name})).await;
    }
    let get = async |path: &str| world.by_token(&token, "GET", path, None).await;
    let (_, first) = get("/api-keys/?page_size=2").await;
    assert_eq!((&first["total"], &first["total_pages"]), (&json!(3), &json!(2)));
    let (_, second) = get(&format!("/api-keys/?page_size=2&cursor={}", text(&first["next_cursor"]))).await;
    assert_eq!((&second["data"][0]["name"], &second["next_cursor"]), (&json!("c"), &Value::Null));
    let (status, log) = get("/admin/audit-logs/?page_size=1&action=api_key.create&start_date=2020-01-01").await;
    assert_eq!((status, &log["total"]), (StatusCode::OK, &json!(3)));
    assert_eq!(log["data"][0]["details"]["after"]["name"], "c", "newest first");
    assert_eq!(get(&format!("/admin/audit-logs/{}", text(&log["data"][0]["id"]))).await.0, StatusCode::OK);
    let cursor = text(&log["next_cursor"]);
    assert_eq!(
        get(&format!("/admin/audit-logs/?page_size=1&action=api_key.create&cursor={cursor}")).await.1["data"][0]["details"]
            ["after"]["name"],
        "b"
    );
    assert_eq!(get(&format!("/api-keys/?cursor={cursor}")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    for path in ["/api-keys/?page=4294967295&page_size=100", "/admin/audit-logs/?page=4294967295&page_size=100"] {
        let (status, page) = get(path).await;
        assert_eq!((status, &page["data"]), (StatusCode::OK, &json!([])), "{path}");
    }
    for path in [
        "/api-keys/?page=0",
        "/api-keys/?page_size=101",
        "/admin/audit-logs/?action=%00",
        "/admin/audit-logs/?end_date=x",
    ] {
        assert_eq!(get(path).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    let other = world.token("usr_admin2", json!({}));
    let (_, empty) = world.by_token(&other, "GET", "/admin/audit-logs/?tenant_id=tnt_1", None).await;
    assert_eq!(empty["total"], 0);
    let plain = world.token("usr_plain1", json!({}));
    assert_eq!(world.by_token(&plain, "GET", "/admin/audit-logs/", None).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn uses_are_counted_and_the_first_from_a_network_is_audited_once() {
    let world = World::start().await;
    let key = world.key_of("usr_admin1", json!({})).await;
    for _ in 0..3 {
        assert_eq!(world.by_key(text(&key["key"])).await.0, StatusCode::OK);
    }
    world.services.identity.flush().await;
    let token = world.token("usr_admin1", json!({}));
    let (_, item) = world.by_token(&token, "GET", &format!("/api-keys/{}", text(&key["id"])), None).await;
    assert_eq!((&item["use_count"], &item["last_used_ip"]), (&json!(3), &json!("192.0.2.7")));
    assert!(item["last_used_at"].is_string());
    let (_, log) = world.by_token(&token, "GET", "/admin/audit-logs/?action=api_key.use", None).await;
    assert_eq!((&log["total"], &log["data"][0]["actor_id"]), (&json!(1), &key["id"]));
}

#[tokio::test]
async fn hostile_bodies_name_their_field() {
    let world = World::start().await;
    let token = world.token("usr_admin1", json!({}));
    let create = async |changes: Value| {
        let mut body = json!({"name": "k", "permission_source": "user", "permission_source_id": "usr_admin1"});
        for (name, value) in changes.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let (status, answer) = world.by_token(&token, "POST", "/api-keys/", Some(body)).await;
        (status.as_u16(), answer.to_string())
    };
    for (field, value, wanted) in [
        ("name", json!("a\u{0}b"), 422),
        ("name", json!("x".repeat(1_000_000)), 422),
        ("description", json!("\u{7}"), 422),
        ("scopes", json!([]), 422),
        ("scopes", json!(["x".repeat(1_000_000)]), 422),
        ("ip_whitelist", json!(["10.0.0.0/33"]), 400),
        ("rate_limit", json!(0), 422),
        ("rate_limit", json!(-1), 422),
        ("expires_at", json!("9999-12-31T23:59:59-23:59"), 422),
        ("colour", json!("red"), 422),
    ] {
        let (status, answer) = create(json!({ field: value })).await;
        assert_eq!(status, wanted, "{field}: {answer}");
        assert!(answer.contains(field), "{field}: {answer}");
    }
}
