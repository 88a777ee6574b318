//! DNS messages read to the letter: the records of a zone transfer in presentation form, whatever their type, and where
//! in a message its signature begins. What names compress is followed; everything has a bound.
//!
//! What never lives here: sending anything, and what a signature is worth.

mod content;

use std::ops::Range;

pub use content::content;

/// A name of 255 octets has at most so many labels, and so many pointers, each of which leads to a label.
const LABELS_MAX: usize = 128;
const NAME_OCTETS_MAX: usize = 255;

/// A message that has been taken apart.
#[derive(Debug)]
pub struct Message {
    pub id: u16,
    pub is_response: bool,
    pub is_truncated: bool,
    /// The response code of the header.
    pub code: u8,
    /// Name and type of the first question; answers of a transfer need none but the first.
    pub question: Option<(String, u16)>,
    pub answers: Vec<Entry>,
    /// The last record of the message, where it is a TSIG.
    pub signature: Option<Entry>,
}

/// A record in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Lower case, with its dot at the end, escaped.
    pub name: String,
    pub record_type: u16,
    pub class: u16,
    pub ttl: u32,
    /// Where in the message it begins.
    pub start: usize,
    /// Where its data is.
    pub data: Range<usize>,
}

pub const TYPE_SOA: u16 = 6;
pub const TYPE_AXFR: u16 = 252;
pub const CLASS_IN: u16 = 1;
const TYPE_TSIG: u16 = 250;

/// The message does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Message {
    pub fn read(octets: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(octets);
        let id = reader.u16()?;
        let flags = reader.u16()?;
        let [questions, answers, authorities, additionals] =
            [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let mut question = None;
        for _ in 0..questions {
            let name = reader.name()?;
            let asked = (name, reader.u16()?);
            reader.u16()?;
            question.get_or_insert(asked);
        }
        let answers = (0..answers).map(|_| reader.entry()).collect::<Result<_, _>>()?;
        let mut last = None;
        for _ in 0..u32::from(authorities) + u32::from(additionals) {
            last = Some(reader.entry()?);
        }
        if reader.at != octets.len() {
            return Err(Malformed);
        }
        Ok(Self {
            id,
            is_response: flags & 0x8000 != 0,
            is_truncated: flags & 0x0200 != 0,
            code: (flags & 0x000f) as u8,
            question,
            answers,
            signature: last.filter(|entry| entry.record_type == TYPE_TSIG),
        })
    }
}

/// Reads a message from the front, or a part of it.
pub struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0, end: octets.len() }
    }

    /// Of the data of an entry; names in it may point to before it.
    pub fn of(octets: &'a [u8], data: &Range<usize>) -> Self {
        Self { octets, at: data.start, end: data.end }
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.end).ok_or(Malformed)?;
        let taken = self.octets.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    pub fn rest(&mut self) -> Result<&'a [u8], Malformed> {
        self.take(self.end - self.at)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.take(4).map(|octets| u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]))
    }

    /// A character string.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A name, in lower case and with its dot at the end; each pointer leads further to the front.
    pub fn name(&mut self) -> Result<String, Malformed> {
        let mut name = String::new();
        let (mut at, mut behind, mut octets) = (self.at, None, 1);
        for _ in 0..2 * LABELS_MAX {
            let length = *self.octets.get(at).ok_or(Malformed)?;
            match length {
                0 => {
                    self.at = behind.unwrap_or(at + 1);
                    if self.at > self.end {
                        return Err(Malformed);
                    }
                    return Ok(if name.is_empty() { ".".to_owned() } else { name });
                }
                1..=63 => {
                    let label = self.octets.get(at + 1..at + 1 + usize::from(length)).ok_or(Malformed)?;
                    octets += 1 + label.len();
                    if octets > NAME_OCTETS_MAX {
                        return Err(Malformed);
                    }
                    push_label(&mut name, label);
                    at += 1 + label.len();
                }
                0xc0.. => {
                    let low = *self.octets.get(at + 1).ok_or(Malformed)?;
                    behind.get_or_insert(at + 2);
                    let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if target >= at {
                        return Err(Malformed);
                    }
                    at = target;
                }
                _ => return Err(Malformed),
            }
        }
        Err(Malformed)
    }

    fn entry(&mut self) -> Result<Entry, Malformed> {
        let start = self.at;
        let name = self.name()?;
        let (record_type, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let data = self.at..self.at + length;
        self.take(length)?;
        Ok(Entry { name, record_type, class, ttl, start, data })
    }
}

/// A name of plain labels, with its dot at the end, as it goes over the wire.
pub fn name_octets(name: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(name.len() + 1);
    for label in name.strip_suffix('.')?.split('.').filter(|_| name != ".") {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        octets.push(length);
        octets.extend(label.to_ascii_lowercase().bytes());
    }
    octets.push(0);
    (octets.len() <= NAME_OCTETS_MAX).then_some(octets)
}

fn push_label(name: &mut String, label: &[u8]) {
    for octet in label {
        match octet.to_ascii_lowercase() {
            special @ (b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$') => {
                name.push('\\');
                name.push(char::from(special));
            }
            plain @ 0x21..=0x7e => name.push(char::from(plain)),
            other => push_decimal(name, other),
        }
    }
    name.push('.');
}

fn push_decimal(text: &mut String, octet: u8) {
    text.push('\\');
    for digit in [octet / 100, octet / 10 % 10, octet % 10] {
        text.push(char::from(b'0' + digit));
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message as Theirs, MessageType, OpCode, Query};
    use hickory_proto::rr::rdata::{A, MX};
    use hickory_proto::rr::{Name, RData, Record, RecordType};
    use proptest::prelude::*;

    use super::*;

    fn answer() -> Vec<u8> {
        let name = |text: &str| Name::from_ascii(text).expect("a name");
        let mut message = Theirs::new(7, MessageType::Response, OpCode::Query);
        message.add_query(Query::query(name("Example.com."), RecordType::MX));
        let mail = RData::MX(MX::new(10, name("mail.example.com.")));
        message.add_answer(Record::from_rdata(name("example.com."), 300, mail));
        message.add_answer(Record::from_rdata(name("mail.example.com."), 60, RData::A(A::new(192, 0, 2, 1))));
        message.to_vec().expect("encoded")
    }

    #[test]
    fn a_message_of_another_library_is_read_with_its_compressed_names() {
        let octets = answer();
        let message = Message::read(&octets).expect("reads");
        assert_eq!((message.id, message.code, message.is_response), (7, 0, true));
        assert_eq!(message.question, Some(("example.com.".into(), 15)));
        let shown = |entry: &Entry| {
            let content = content(entry.record_type, &octets, &entry.data).expect("reads");
            format!("{} {} {content:?}", entry.name, entry.ttl)
        };
        let shown: Vec<String> = message.answers.iter().map(shown).collect();
        assert_eq!(
            shown,
            [
                r#"example.com. 300 Some(("MX", "10 mail.example.com."))"#,
                r#"mail.example.com. 60 Some(("A", "192.0.2.1"))"#
            ]
        );
        assert!(message.signature.is_none());
    }

    #[test]
    fn a_name_that_points_to_itself_is_none() {
        for octets in [&[0xc0, 0][..], &[1, b'a', 0xc0, 0], &[0xc0, 2, 0xc0, 0], &[0x40, 1], &[3, b'a']] {
            assert_eq!(Reader::new(octets).name(), Err(Malformed), "{octets:?}");
        }
        assert_eq!(Reader::new(&[3, b'A', b'.', 0xff, 0]).name(), Ok(r"a\.\255.".into()));
        assert_eq!(Reader::new(&[0]).name(), Ok(".".into()));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(message) = Message::read(&octets) {
                for entry in message.answers {
                    let _ = content(entry.record_type, &octets, &entry.data);
                }
            }
        }

        #[test]
        fn a_message_that_was_damaged_is_read_or_refused(at in 0usize..80, octet: u8) {
            let mut octets = answer();
            let at = at % octets.len();
            octets[at] = octet;
            if let Ok(message) = Message::read(&octets) {
                for entry in message.answers {
                    let _ = content(entry.record_type, &octets, &entry.data);
                }
            }
        }
    }
}
