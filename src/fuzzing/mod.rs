//! What is fuzzed: everything that reads what a client, a file, another server or an outsider made up. A module a
//! target, with `seeds` to begin from, and `run`, which fails where something does not hold that must.
//!
//! Two drivers call them: `src/tests/fuzz/`, in every run of the tests, and the programs in `fuzz/fuzz_targets/`, which
//! are guided by coverage. What never lives here: a driver, and anything that a production build has.

pub mod answer;
pub mod cursor;
pub mod header;
pub mod jwks;
pub mod key_text;
pub mod name;
pub mod pattern;
pub mod record;
pub mod server_zone;
pub mod signature;
pub mod template;
pub mod token;
pub mod transfer;
pub mod zone_file;

use std::borrow::Cow;

use time::OffsetDateTime;

use crate::dns::ZoneName;

/// What a target made of an input, in words: two inputs of one outcome are alike.
pub type Outcome = String;

fn zone() -> ZoneName {
    ZoneName::parse("example.com").expect("a name")
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_767_225_600).expect("a time")
}

fn text(input: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(input)
}

fn seeds_of<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Vec<Vec<u8>> {
    texts.into_iter().map(|text| text.as_ref().as_bytes().to_vec()).collect()
}
