//! What the sources themselves show: the layers point one way, and what changes a right revokes it.
//!
//! `main → cli → app → { http | worker | dev } → service → { storage · pdns · scaikey · resolve } → authz →
//! { dns · fairness · tenancy · config · ids · clock }`; `shutdown` and `telemetry` stand beside `app`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::{Trials, trials};

pub fn tests() -> Trials {
    trials![no_arrow_points_upward, what_changes_a_right_takes_the_transaction_that_revokes_it]
}

/// From the top. A module that is not here fails the test: it needs a place.
const LEVELS: [&[&str]; 7] = [
    &["cli"],
    &["app", "shutdown", "telemetry"],
    &["http", "worker", "dev"],
    &["service"],
    &["storage", "pdns", "scaikey", "resolve"],
    &["authz"],
    &["dns", "fairness", "tenancy", "config", "ids", "clock"],
];

/// Neighbours of one level that may know each other, and why.
const NEIGHBOURS: [(&str, &str); 5] = [
    ("app", "shutdown"),  // the parts that only a running process has
    ("app", "telemetry"), // likewise
    ("fairness", "ids"),  // places are shared out among tenants
    ("ids", "clock"),     // an id begins with the time
    ("tenancy", "ids"),   // a zone's row is named by its ids
];

async fn no_arrow_points_upward() {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 50, "only {} files", files.len());
    let mut arrows: BTreeMap<(String, String), String> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("below src");
        let first = inside.components().next().expect("a part").as_os_str().to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        if module == "main" || module == "lib" {
            continue;
        }
        for target in targets(&std::fs::read_to_string(&file).expect("readable")) {
            if target != module {
                arrows.entry((module.clone(), target)).or_insert_with(|| inside.display().to_string());
            }
        }
    }
    assert!(arrows.contains_key(&("http".to_owned(), "service".to_owned())), "the reading works");
    let mut wrong = Vec::new();
    for ((from, to), file) in arrows {
        let (above, below) = (level(&from), level(&to));
        let neighbours = NEIGHBOURS.contains(&(from.as_str(), to.as_str()));
        if above > below || (above == below && !neighbours) {
            wrong.push(format!("{from} → {to} in {file}"));
        }
    }
    assert!(wrong.is_empty(), "these point upward or sideways:\n  {}", wrong.join("\n  "));
}

fn level(module: &str) -> usize {
    let found = LEVELS.iter().position(|level| level.contains(&module));
    found.unwrap_or_else(|| panic!("the module {module} has no place among the layers"))
}

/// The sources that are built into the product: tests may stand on anything.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if name == "tests" || name == "testing" || name == "fuzzing" {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules of this crate that a source names, `use crate::{a, b::c}` and `crate::a::f()` alike.
fn targets(source: &str) -> BTreeSet<String> {
    let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source);
    let code: String =
        product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let qualified =
            code[..start].ends_with('$') || code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &code[start + "crate::".len()..];
        if qualified {
            continue;
        }
        match rest.strip_prefix('{') {
            None => found.extend(first_word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut at_start = true;
                for (position, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        c if c.is_whitespace() => {}
                        _ if at_start && depth == 0 => {
                            found.extend(first_word(&list[position..]));
                            at_start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// The tables that rights follow from.
const RIGHTS: [&str; 10] = [
    "api_keys",
    "partners",
    "tenants",
    "users",
    "user_groups",
    "group_members",
    "role_assignments",
    "logged_out_tokens",
    "roles",
    "access_grants",
];

/// What writes to them and ends or changes nobody's right, and why.
const HARMLESS: [(&str, &str); 5] = [
    ("api_keys.rs", "insert"),              // a new key: no replica remembers anything of it
    ("api_keys.rs", "count_uses"),          // counters
    ("roles.rs", "insert"),                 // a new role, which nobody holds yet
    ("mirror.rs", "insert_user_if_absent"), // a new user, as a new key
    ("logged_out.rs", "sweep"),             // of tokens that have expired
];

/// What changes such a table takes a `RightsTx`, which is not committed without its revocations.
async fn what_changes_a_right_takes_the_transaction_that_revokes_it() {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage"), &mut files);
    let (mut checked, mut wrong) = (0, Vec::new());
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&file).expect("readable");
        let product = source.split("mod tests {").next().unwrap_or(&source);
        for function in product.split("async fn ").skip(1) {
            let writes = |table: &&str| {
                ["INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO", "UPDATE", "DELETE FROM"]
                    .iter()
                    .any(|verb| function.contains(&format!("\"{verb} {table} ")))
            };
            if !RIGHTS.iter().any(writes) {
                continue;
            }
            checked += 1;
            let signature: String = function.split('{').next().unwrap_or_default().into();
            let called = function.split(['(', '<']).next().unwrap_or_default();
            if !signature.contains("RightsTx") && !HARMLESS.contains(&(name.as_str(), called)) {
                wrong.push(format!("{called} in {name}"));
            }
        }
    }
    assert!(checked >= 10, "the reading works: {checked}");
    assert!(wrong.is_empty(), "these change rights without a revocation:\n  {}", wrong.join("\n  "));
}
