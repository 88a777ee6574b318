//! Fuzzing by chance, in every run of the tests: no input may panic, take long, or be read in a way that does not hold
//! when it is read again. What is tried is in `src/fuzzing/`; `fuzz/` drives the same by coverage.
//!
//! Each target begins with its seeds and what is kept in `fuzz/corpus/<target>/`, changes them at random, and goes on
//! from whatever led to something new: an outcome, or an error text, that was not seen before.
//! `SCAIDNS_FUZZ_SECONDS` sets how long each target runs (2 unless told otherwise), `SCAIDNS_TEST_SEED` repeats a run;
//! `just fuzz SECONDS` does it for longer. An input that fails is written to `target/fuzz/`; once its cause is mended it
//! goes into the corpus.

mod mutate;

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fuzzing::{self, Outcome};

/// How long each target runs, unless told otherwise.
const SECONDS: u64 = 2;
/// Longer than any input may take, on a machine that does other things, too.
const SLOW: Duration = Duration::from_secs(5);
/// The machine may be busy with other things.
const AGAIN_IF_SLOW: usize = 2;
/// Inputs that lead to something new; beyond it they take the places of others.
const KEPT_MAX: usize = 2_000;
/// Of an input; what bounds a body is tried elsewhere.
const BYTES_MAX: usize = 8_192;

/// A test for each target.
macro_rules! driven {
    ($($test:ident: $target:ident,)*) => {
        const DRIVEN: &[&str] = &[$(stringify!($target)),*];
        $(
            #[test]
            fn $test() {
                run(stringify!($target), fuzzing::$target::seeds(), fuzzing::$target::run);
            }
        )*
    };
}

driven! {
    record_contents: record,
    zone_files: zone_file,
    names: name,
    tokens: token,
    signatures_and_events: signature,
    patterns: pattern,
    cursors: cursor,
    transfers: transfer,
    answers_of_nameservers: answer,
    heads_of_requests: header,
    keys_and_delegation_signers: key_text,
    key_sets: jwks,
    templates: template,
    zones_of_powerdns: server_zone,
}

/// What is not driven by both would be thought to be tried.
#[test]
fn every_target_is_driven_here_and_by_coverage() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = |folder: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(root.join(folder)).expect("a folder").flatten().map(|entry| entry.path());
        let sources = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
        sources.map(|file| file.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
    };
    let driven: BTreeSet<String> = DRIVEN.iter().map(|name| (*name).to_owned()).collect();
    let mut targets = sources("src/fuzzing");
    assert!(targets.remove("mod"), "the reading works");
    assert_eq!(targets, driven, "src/fuzzing/ and the tests here");
    assert_eq!(sources("fuzz/fuzz_targets"), driven, "fuzz/fuzz_targets/ and the tests here");
    let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).expect("readable");
    let manifest: toml::Table = manifest.parse().expect("a manifest");
    let programs = manifest["bin"].as_array().expect("programs").iter();
    let programs: BTreeSet<String> = programs.map(|program| program["name"].as_str().expect("a name").into()).collect();
    assert_eq!(programs, driven, "the programs of fuzz/Cargo.toml and the tests here");
    for name in DRIVEN {
        let program = std::fs::read_to_string(root.join(format!("fuzz/fuzz_targets/{name}.rs"))).expect("readable");
        assert!(program.contains(&format!("drive!({name});")), "fuzz_targets/{name}.rs drives {name}");
    }
}

fn run(name: &str, mut kept: Vec<Vec<u8>>, target: fn(&[u8]) -> Outcome) {
    let seed = number("SCAIDNS_TEST_SEED").unwrap_or_else(|| rand::random::<u32>().into());
    let mut rng = StdRng::seed_from_u64(seed);
    kept.extend(corpus(name));
    let mut known = HashSet::new();
    for input in &kept {
        known.insert(digest(&tried(name, seed, input, target)));
    }
    let end = Instant::now() + Duration::from_secs(number("SCAIDNS_FUZZ_SECONDS").unwrap_or(SECONDS));
    let mut count = 0;
    while Instant::now() < end {
        let (one, other) = (rng.random_range(0..kept.len()), rng.random_range(0..kept.len()));
        let mut input = mutate::mutated(&kept[one], &kept[other], &mut rng);
        input.truncate(BYTES_MAX);
        count += 1;
        if !known.insert(digest(&tried(name, seed, &input, target))) {
            continue;
        }
        if kept.len() < KEPT_MAX {
            kept.push(input);
        } else {
            kept[one] = input;
        }
    }
    eprintln!("fuzz {name}: {count} inputs, {} outcomes, SCAIDNS_TEST_SEED={seed}", known.len());
    assert!(count > 0, "nothing was tried");
}

fn tried(name: &str, seed: u64, input: &[u8], target: fn(&[u8]) -> Outcome) -> Outcome {
    let (mut outcome, mut took) = timed(input, target);
    // whoever was kept from working once is not kept from it each time
    for _ in 0..AGAIN_IF_SLOW {
        if outcome.is_err() || took < SLOW {
            break;
        }
        (outcome, took) = timed(input, target);
    }
    match outcome {
        Ok(outcome) if took < SLOW => outcome,
        failed => {
            let path = keep(name, input);
            let why = if failed.is_ok() { format!("took {took:?}") } else { "failed".to_owned() };
            panic!("{why}, seed {seed}, kept in {}: {:?}", path.display(), String::from_utf8_lossy(input));
        }
    }
}

fn timed(input: &[u8], target: fn(&[u8]) -> Outcome) -> (std::thread::Result<Outcome>, Duration) {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    (outcome, began.elapsed())
}

/// Numbers in it make no difference: they are of the input.
fn digest(outcome: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut characters = outcome.chars().filter(|character| !character.is_ascii_digit());
    characters.by_ref().take(120).for_each(|character| character.hash(&mut hasher));
    hasher.finish()
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|file| std::fs::read(file.path()).expect("readable")).collect()
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = folder.join(format!("{name}-{:016x}", hasher.finish()));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
    written.expect("writable");
    path
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}
