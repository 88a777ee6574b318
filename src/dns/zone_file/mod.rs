//! Zone files: many records as text, read and written in three formats. Reading says of each record the line it began
//! at, and goes on behind a line that is wrong, so that all of them are told at once.
//!
//! What never lives here: whether a record may stand in a zone (that is [`super::edit`]), and what becomes of those
//! that stand there already.

mod bind;
mod csv;
mod generate;
mod json;
mod lexer;

use super::error::FieldError;
use super::owner_name::OwnerName;
use super::record_type::RecordType;
use super::rrset::Rrset;
use super::zone_content::ZoneContent;
use super::zone_name::ZoneName;
use super::{RrsetKey, rdata};

/// Lines that are told; a file of another kind would be wrong in every one of them.
const ERRORS_MAX: usize = 100;

/// How records are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneFileFormat {
    /// A master file (RFC 1035 section 5).
    Bind,
    /// An array of records as the API takes them.
    Json,
    /// With a head line: `name,type,content,ttl,disabled`.
    Csv,
}

impl ZoneFileFormat {
    /// The name of a format.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "bind" => Some(Self::Bind),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// As [`Self::parse`] reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// A record of a file, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Where it begins, from 1.
    pub line: usize,
    pub key: RrsetKey,
    pub content: String,
    pub ttl: Option<u32>,
    pub disabled: bool,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// From 1.
    pub line: usize,
    pub field: Option<&'static str>,
    pub message: String,
}

impl LineError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, field: None, message: message.into() }
    }

    fn of_field(line: usize, error: FieldError) -> Self {
        Self { line, field: Some(error.field), message: error.message }
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct ZoneFile {
    pub records: Vec<FileRecord>,
    /// Not all of them, where there are very many.
    pub errors: Vec<LineError>,
    /// The file holds more than was asked for, and was not read on.
    pub too_many: bool,
}

/// Reads a file for a zone, up to `records_max` records.
pub fn read(format: ZoneFileFormat, text: &str, zone: &ZoneName, records_max: usize) -> ZoneFile {
    let mut sink = Sink { zone, records_max, file: ZoneFile::default() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        ZoneFileFormat::Bind => bind::read(text, &mut sink),
        ZoneFileFormat::Json => json::read(text, &mut sink),
        ZoneFileFormat::Csv => csv::read(text, &mut sink),
    }
    // a parser may count the line behind the last line break, where nobody would find anything
    let lines = text.lines().count().max(1);
    for error in &mut sink.file.errors {
        error.line = error.line.min(lines);
    }
    sink.file
}

/// A record that another server has sent.
#[derive(Debug, Clone, Copy)]
pub struct Transferred<'a> {
    /// Its place, from 1.
    pub line: usize,
    pub name: &'a str,
    pub ttl: u32,
    /// Type and content, or the number of a type that no zone here keeps.
    pub content: Result<&'a (&'static str, String), u16>,
}

/// The same of what another server has sent.
pub fn of_transfer<'a>(zone: &ZoneName, records: impl Iterator<Item = Transferred<'a>>) -> ZoneFile {
    let mut sink = Sink { zone, records_max: usize::MAX, file: ZoneFile::default() };
    for Transferred { line, name, ttl, content } in records {
        match content {
            Ok((record_type, content)) => {
                sink.push(&RawRecord { line, name, record_type, content, ttl: Some(ttl), disabled: false });
            }
            Err(number) => {
                let message = format!("records of the type {number} ({name}) are not kept here");
                sink.fail(LineError { line, field: Some("type"), message });
            }
        }
    }
    sink.file
}

/// Writes RRsets down, those that the platform makes first.
pub fn write(format: ZoneFileFormat, content: &ZoneContent, is_wanted: impl Fn(&RrsetKey) -> bool) -> String {
    let is_head = |key: &RrsetKey| key.record_type == RecordType::Soa;
    let wanted = || content.iter().filter(|(key, _)| is_wanted(key) && !key.name.is_reserved(content.zone()));
    let rrsets = wanted().filter(|(key, _)| is_head(key)).chain(wanted().filter(|(key, _)| !is_head(key)));
    match format {
        ZoneFileFormat::Bind => bind::write(content.zone(), rrsets),
        ZoneFileFormat::Json => json::write(rrsets),
        ZoneFileFormat::Csv => csv::write(rrsets),
    }
}

/// What a format hands over: texts, to be brought into canonical form in one place.
struct RawRecord<'a> {
    line: usize,
    name: &'a str,
    record_type: &'a str,
    content: &'a str,
    ttl: Option<u32>,
    disabled: bool,
}

/// Where records and errors go while a file is read.
struct Sink<'a> {
    zone: &'a ZoneName,
    records_max: usize,
    file: ZoneFile,
}

impl Sink<'_> {
    fn push(&mut self, raw: &RawRecord<'_>) {
        match self.canonical(raw) {
            Ok(record) => self.file.records.push(record),
            Err(error) => self.fail(LineError::of_field(raw.line, error)),
        }
    }

    fn canonical(&self, raw: &RawRecord<'_>) -> Result<FileRecord, FieldError> {
        let RawRecord { line, name, record_type, content, ttl, disabled } = *raw;
        if ttl.is_some_and(|ttl| ttl > super::TTL_MAX) {
            return Err(FieldError::new("ttl", format!("ttl must be from 0 to {}", super::TTL_MAX)));
        }
        let name = OwnerName::parse(name, self.zone)?;
        let record_type = RecordType::parse(record_type)?;
        let (content, _) = rdata::canonical(&record_type, content, self.zone)?;
        Ok(FileRecord { line, key: RrsetKey { name, record_type }, content, ttl, disabled })
    }

    fn fail(&mut self, error: LineError) {
        if self.file.errors.len() < ERRORS_MAX {
            self.file.errors.push(error);
        }
    }

    /// Whether there is nothing to be gained by reading on.
    fn is_full(&mut self) -> bool {
        self.file.too_many = self.file.records.len() > self.records_max;
        self.file.too_many || self.file.errors.len() >= ERRORS_MAX
    }
}

/// What a writer is handed.
trait Rrsets<'a>: Iterator<Item = (&'a RrsetKey, &'a Rrset)> {}

impl<'a, I: Iterator<Item = (&'a RrsetKey, &'a Rrset)>> Rrsets<'a> for I {}

#[cfg(test)]
mod tests;
