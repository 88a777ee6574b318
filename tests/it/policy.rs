//! Who may do what: role × permission, as a table that a reviewer reads. A change of it is a change of this product's
//! promises: `UPDATE_GOLDEN=1 cargo test --test it policy` writes the new one.

use std::path::Path;

use scaidns::authz::{Permission, SystemRole};

use crate::support::{Trials, trials};

pub fn tests() -> Trials {
    trials![what_each_role_holds]
}

async fn what_each_role_holds() {
    let width = Permission::ALL.iter().map(|permission| permission.as_str().len()).max().unwrap_or_default();
    let mut table = String::new();
    for (n, role) in SystemRole::ALL.into_iter().enumerate() {
        table += &format!("{}{}\n", "│ ".repeat(n), role.as_str());
    }
    for permission in Permission::ALL {
        for role in SystemRole::ALL {
            table += if role.permissions().contains(*permission) { "■ " } else { "· " };
        }
        table += &format!("{:width$}\n", permission.as_str()).trim_end_matches(' ');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/policy.golden.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).expect("written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(table == golden, "the policy is no longer that of {}; it is now\n{table}", path.display());
}
