//! Contents of records: what a person writes, and what PowerDNS shows.

use super::{Outcome, seeds_of, text, zone};
use crate::dns::{RecordType, canonical, canonical_from_server, catalogue, for_server};

/// The type, a blank, the content.
pub fn seeds() -> Vec<Vec<u8>> {
    seeds_of(catalogue().into_iter().map(|info| format!("{} {}", info.record_type, info.example)))
}

pub fn run(input: &[u8]) -> Outcome {
    let input = &*text(input);
    let (name, content) = input.split_once(' ').unwrap_or((input, ""));
    let record_type = match RecordType::parse(name) {
        Ok(record_type) => record_type,
        Err(_) => return "no type".to_owned(),
    };
    let as_it_is = canonical_from_server(&record_type, content);
    assert_eq!(
        canonical_from_server(&record_type, &as_it_is),
        as_it_is,
        "what is on the server is read the same again"
    );
    match canonical(&record_type, content, &zone()) {
        Ok((form, warnings)) => {
            let again = canonical(&record_type, &form, &zone()).expect("a canonical content is accepted").0;
            assert_eq!(again, form, "canonical is canonical");
            let there = for_server(&record_type, &form);
            assert_eq!(canonical_from_server(&record_type, &there), form, "it comes back from the server");
            format!("{name} {}", warnings.iter().map(|warning| warning.message.as_str()).collect::<String>())
        }
        Err(error) => format!("{name} {}", error.message),
    }
}
