//! Tenants beside the two that every world has: made at ScaiKey, taken in by a sync, each with a zone's owner.

use scaidns::dev::scaikey::directory::{ACTIVE, PARTNER, Tenant, User};
use serde_json::json;

use crate::crash::ledger::Tenancy;
use crate::support::{World, scaidns};

/// The two of the world and so many more, each by its admin: with a key, and logged in.
pub async fn tenants(world: &World, more: usize) -> Vec<Tenancy> {
    let admins: Vec<String> = (1..=more).map(|number| enter(world, number)).collect();
    scaidns(&["sync"], &world.env).await.ok();
    let mut tenants = Tenancy::usual(world);
    for admin in admins {
        let auditor = world.user(&admin);
        let body = json!({"name": "chaos", "permission_source": "user", "permission_source_id": admin});
        let key = auditor.post("/api-keys/", body).await.ok();
        let key = key["key"].as_str().unwrap_or_else(|| panic!("no key in {key}"));
        tenants.push(Tenancy { api: crate::support::Api::with_key(auditor.url(), key), auditor });
    }
    tenants
}

/// One tenant with its admin, whose id is returned.
fn enter(world: &World, number: usize) -> String {
    let (tenant, admin) = (format!("tnt_01j2g00000e0080000000009{number:02}"), id_of_admin(number));
    let (name, made) = (format!("Tenant {number}"), admin.clone());
    world.scaikey.change(move |directory| {
        directory.tenants.push(Tenant {
            id: tenant.clone(),
            slug: format!("tenant-{number}"),
            status: ACTIVE.into(),
            partner_id: PARTNER.into(),
            settings: json!({}),
            name: name.clone(),
        });
        directory.users.push(User {
            id: made,
            email: format!("admin@tenant-{number}.test"),
            first_name: "Ada".into(),
            last_name: name.clone(),
            display_name: format!("Ada of {name}"),
            status: ACTIVE.into(),
            tenant_id: tenant,
            role: "tenant_admin".into(),
            password: None,
        });
    });
    admin
}

fn id_of_admin(number: usize) -> String {
    format!("usr_01j2g00000e0080000000008{number:02}")
}
