//! A file of comma-separated values (RFC 4180).

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use super::{LineError, RawRecord, Rrsets, Sink};

const HEAD: [&str; 5] = ["name", "type", "content", "ttl", "disabled"];
/// Those that a file cannot do without.
const NEEDED: usize = 3;

pub(super) fn read(text: &str, sink: &mut Sink<'_>) {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let columns = match reader.headers().map_err(|error| error.to_string()).and_then(columns) {
        Ok(columns) => columns,
        Err(message) => return sink.fail(LineError::new(1, message)),
    };
    for row in reader.into_records() {
        match row {
            Ok(row) => {
                let line = row.position().map_or(1, |position| usize::try_from(position.line()).unwrap_or(usize::MAX));
                if let Err(message) = record(&row, &columns, line, sink) {
                    sink.fail(LineError::new(line, message));
                }
            }
            Err(error) => {
                let line =
                    error.position().map_or(1, |position| usize::try_from(position.line()).unwrap_or(usize::MAX));
                sink.fail(LineError::new(line, error.to_string()));
            }
        }
        if sink.is_full() {
            break;
        }
    }
}

/// Where each field of [`HEAD`] stands.
fn columns(head: &StringRecord) -> Result<[Option<usize>; HEAD.len()], String> {
    let mut columns = [None; HEAD.len()];
    for (position, name) in head.iter().enumerate() {
        let name = name.trim().to_ascii_lowercase();
        let Some(field) = HEAD.iter().position(|known| *known == name) else {
            return Err(format!("unknown column '{}'; the head is '{}'", name.escape_debug(), HEAD.join(",")));
        };
        if columns[field].replace(position).is_some() {
            return Err(format!("the column '{name}' is there twice"));
        }
    }
    if columns[..NEEDED].iter().any(Option::is_none) {
        return Err(format!("the first line must be '{}'", HEAD.join(",")));
    }
    Ok(columns)
}

fn record(
    row: &StringRecord,
    columns: &[Option<usize>; HEAD.len()],
    line: usize,
    sink: &mut Sink<'_>,
) -> Result<(), String> {
    if row.len() > columns.iter().flatten().count() {
        return Err("the line has more fields than the head; a field with a comma stands in quotes".to_owned());
    }
    let [name, record_type, content, ttl, disabled] =
        columns.map(|column| column.and_then(|column| row.get(column)).unwrap_or_default());
    let ttl = match ttl.trim() {
        "" => None,
        ttl => Some(ttl.parse::<u32>().map_err(|_| format!("'{}' is not a ttl", ttl.escape_debug()))?),
    };
    let disabled = match disabled.trim().to_ascii_lowercase().as_str() {
        "" | "false" | "0" => false,
        "true" | "1" => true,
        other => return Err(format!("disabled is '{}', neither true nor false", other.escape_debug())),
    };
    sink.push(&RawRecord { line, name: name.trim(), record_type: record_type.trim(), content, ttl, disabled });
    Ok(())
}

pub(super) fn write<'a>(rrsets: impl Rrsets<'a>) -> String {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    // into memory: nothing can fail
    let _ = writer.write_record(HEAD);
    for (key, rrset) in rrsets {
        let ttl = rrset.ttl.to_string();
        for record in &rrset.records {
            let disabled = if record.disabled { "true" } else { "false" };
            let fields = [key.name.as_str(), key.record_type.as_str(), &record.content, &ttl, disabled];
            let _ = writer.write_record(fields);
        }
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}
