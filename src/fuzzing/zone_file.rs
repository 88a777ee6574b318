//! Zone files, in each format.

use super::{Outcome, seeds_of, text, zone};
use crate::dns::zone_file::{self, FileRecord, ZoneFileFormat};
use crate::dns::{Record, Rrset, ZoneContent, canonical};

/// More would only take longer.
const RECORDS_MAX: usize = 60;

/// The format, a line break, the file.
pub fn seeds() -> Vec<Vec<u8>> {
    let mail = include_str!("../../tests/it/zones/mail.zone");
    let generate = include_str!("../../tests/it/zones/generate.zone");
    let quoting = include_str!("../../tests/it/zones/quoting.zone");
    let csv = "name,type,content,ttl,disabled\nwww,A,192.0.2.1,300,false\n\"a\",TXT,\"\"\"x y\"\"\",,true\n";
    let json =
        r#"[{"name":"www","type":"A","content":"192.0.2.1","ttl":300},{"name":"@","type":"MX","content":"10 mail"}]"#;
    let small =
        "$ORIGIN example.com.\n$TTL 1h\n@ IN SOA ns1 host ( 1 2 3\n 4 5 ) ; c\nwww 300 IN A 192.0.2.1\n\tAAAA ::1\n";
    let bind =
        [mail, generate, quoting, small].map(|text| format!("bind\n{}", text.replace("@@zone@@", "example.com")));
    seeds_of(bind.into_iter().chain([format!("csv\n{csv}"), format!("json\n{json}")]))
}

pub fn run(input: &[u8]) -> Outcome {
    let input = &*text(input);
    let (format, text) = input.split_once('\n').unwrap_or((input, ""));
    let Some(format) = ZoneFileFormat::parse(format) else { return "no format".to_owned() };
    let file = zone_file::read(format, text, &zone(), RECORDS_MAX);
    // it stops at the first one that is too many
    assert!(file.records.len() <= RECORDS_MAX + usize::from(file.too_many), "no more than was asked for");
    let lines = text.lines().count() + 1;
    for record in &file.records {
        assert!((1..=lines).contains(&record.line), "line {} of {lines}", record.line);
        assert!(record.key.name.is_in(&zone()), "{:?}", record.key.name);
        // SOA and DNSSEC records of a file are told apart later
        if let Ok((form, _)) = canonical(&record.key.record_type, &record.content, &zone()) {
            assert_eq!(form, record.content, "canonical is canonical");
        }
    }
    comes_back(&file.records);
    for error in &file.errors {
        assert!((1..=lines).contains(&error.line), "{error:?} of {lines} lines");
    }
    format!("{format:?} {} {} {:?}", file.records.len().min(3), file.too_many, file.errors.first().map(|e| &e.message))
}

/// What is written down is read again as what it was, in each format.
fn comes_back(records: &[FileRecord]) {
    let content = content_of(records);
    for format in [ZoneFileFormat::Bind, ZoneFileFormat::Json, ZoneFileFormat::Csv] {
        let written = zone_file::write(format, &content, |key| !key.name.is_reserved(&zone()));
        let again = zone_file::read(format, &written, &zone(), RECORDS_MAX);
        assert!(again.errors.is_empty(), "{format:?} {:?}: {written}", again.errors);
        assert_eq!(content_of(&again.records), content, "{format:?}: {written}");
    }
}

/// Without what nobody may have; TTLs as the first record of an RRset has them.
fn content_of(records: &[FileRecord]) -> ZoneContent {
    let mut content = ZoneContent::new(zone());
    for FileRecord { line: _, key, content: text, ttl, disabled } in records {
        if key.name.is_reserved(&zone()) {
            continue;
        }
        let mut rrset = content.get(key).cloned().unwrap_or(Rrset { ttl: ttl.unwrap_or(300), records: Vec::new() });
        let is_there = rrset.records.iter().any(|record| record.content == *text);
        if !is_there {
            rrset.records.push(Record { content: text.clone(), disabled: *disabled });
        }
        content.insert(key.clone(), rrset);
    }
    content
}
