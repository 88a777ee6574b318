//! Small changes of an input: those that a person, a broken program and an attacker make.

use rand::Rng;
use rand::rngs::StdRng;

/// What parsers look for, and what they overlook.
const PIECES: [&str; 44] = [
    " ",
    "\t",
    "\n",
    "\r\n",
    ".",
    "..",
    "\\",
    "\\000",
    "\\255",
    "\\256",
    "\\\"",
    "\"",
    "\"\"",
    "(",
    ")",
    ";",
    "@",
    "*",
    "-",
    "_",
    "/",
    ":",
    "::",
    ",",
    "=",
    "$ORIGIN ",
    "$TTL ",
    "$GENERATE 1-3 ",
    "$INCLUDE ",
    "0",
    "1",
    "65535",
    "65536",
    "2147483648",
    "4294967296",
    "-1",
    "é",
    "ß",
    "\u{200d}",
    "xn--",
    "\u{feff}",
    "null",
    "{}",
    "[]",
];
const CHANGES_MAX: u32 = 6;

/// `one`, changed; with parts of `other`.
pub fn mutated(one: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = one.to_vec();
    for _ in 0..rng.random_range(1..=CHANGES_MAX) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..8) {
            0 => insert(&mut bytes, at, PIECES[rng.random_range(0..PIECES.len())].as_bytes()),
            1 => insert(&mut bytes, at, &[rng.random_range(0..=u8::MAX)]),
            2 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            3 if at < bytes.len() => bytes[at] = rng.random_range(b' '..=b'~'),
            4 => {
                let end = (at + rng.random_range(0..8)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let times = rng.random_range(1..8);
                insert(&mut bytes, at, &part.repeat(times));
            }
            6 if !other.is_empty() => {
                let from = rng.random_range(0..other.len());
                let to = rng.random_range(from..=other.len());
                insert(&mut bytes, at, &other[from..to]);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}
