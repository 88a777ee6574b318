//! Cursors of lists.

use super::{Outcome, seeds_of, text};
use crate::http::{decode_cursor, encode_cursor};

pub fn seeds() -> Vec<Vec<u8>> {
    seeds_of([
        encode_cursor(&("example.com", 7_u64)),
        encode_cursor(&"example.com"),
        encode_cursor(&Some(1_i64)),
        "!!".to_owned(),
        String::new(),
    ])
}

pub fn run(input: &[u8]) -> Outcome {
    let input = &*text(input);
    let pair = decode_cursor::<(String, u64)>(Some(input));
    if let Ok(Some(key)) = &pair {
        let again = decode_cursor::<(String, u64)>(Some(&encode_cursor(key))).expect("one of ours");
        assert_eq!(again.as_ref(), Some(key));
    }
    let id = decode_cursor::<Option<i64>>(Some(input));
    if let Ok(Some(key)) = &id {
        assert_eq!(decode_cursor::<Option<i64>>(Some(&encode_cursor(key))).expect("one of ours"), Some(*key));
    }
    format!("{} {}", pair.is_ok(), id.is_ok())
}
