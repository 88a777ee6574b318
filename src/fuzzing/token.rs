//! Access tokens, until the key is known that they must be signed with.

use super::{Outcome, seeds_of, text};
use crate::scaikey::open_token;

pub fn seeds() -> Vec<Vec<u8>> {
    seeds_of([
        // {"alg":"RS256","typ":"JWT","kid":"k1"} and {"alg":"ES256","kid":"k1","crit":["x"]}, {"alg":"none"}
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.eyJzdWIiOiJ1c3JfMSJ9.c2ln",
        "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwiY3JpdCI6WyJ4Il19.eyJzdWIiOiJ1c3JfMSJ9.c2ln",
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
        "",
    ])
}

pub fn run(input: &[u8]) -> Outcome {
    let input = &*text(input);
    open_token(input)
}
