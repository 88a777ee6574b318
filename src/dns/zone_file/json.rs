//! A file of JSON: an array of records as the API takes them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{LineError, RawRecord, Rrsets, Sink};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incoming {
    name: String,
    #[serde(rename = "type")]
    record_type: String,
    content: String,
    ttl: Option<u32>,
    #[serde(default)]
    disabled: bool,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    record_type: &'a str,
    content: &'a str,
    ttl: u32,
    disabled: bool,
}

pub(super) fn read(text: &str, sink: &mut Sink<'_>) {
    let elements: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(elements) => elements,
        Err(error) => {
            return sink.fail(LineError::new(error.line().max(1), format!("not an array of records: {error}")));
        }
    };
    let (mut line, mut counted) = (1, 0);
    for element in elements {
        // the element is a part of the text: where it begins tells its line
        let begin = (element.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
        line += text.as_bytes()[counted..begin].iter().filter(|byte| **byte == b'\n').count();
        counted = begin;
        match serde_json::from_str::<Incoming>(element.get()) {
            Ok(Incoming { name, record_type, content, ttl, disabled }) => {
                let (name, record_type, content) = (name.as_str(), record_type.as_str(), content.as_str());
                sink.push(&RawRecord { line, name, record_type, content, ttl, disabled });
            }
            Err(error) => {
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                sink.fail(LineError::new(line, format!("not a record: {message}")));
            }
        }
        if sink.is_full() {
            break;
        }
    }
}

pub(super) fn write<'a>(rrsets: impl Rrsets<'a>) -> String {
    let mut out = String::from("[");
    for (key, rrset) in rrsets {
        for record in &rrset.records {
            out.push_str(if out.len() > 1 { ",\n  " } else { "\n  " });
            let outgoing = Outgoing {
                name: key.name.as_str(),
                record_type: key.record_type.as_str(),
                content: &record.content,
                ttl: rrset.ttl,
                disabled: record.disabled,
            };
            // texts, a number and a boolean: there is nothing that could not be written
            out.push_str(&serde_json::to_string(&outgoing).unwrap_or_default());
        }
    }
    out.push_str("\n]\n");
    out
}
