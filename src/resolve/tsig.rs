//! TSIG (RFC 8945) as a client of zone transfers needs it: a question is signed, and a sequence of answers is checked,
//! of which up to 99 in a row may come without a signature of their own.
//!
//! Never here: where keys are kept. A key is held for one transfer, and printed nowhere.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use crate::clock::Clock;
use crate::dns::wire::{self, Malformed, Message, Reader};

const TYPE: u16 = 250;
const CLASS_ANY: u16 = 255;
/// How far two clocks may be apart, in seconds (RFC 8945 section 10).
const FUDGE: u16 = 300;
/// Answers in a row without a signature (RFC 8945 section 5.3.1).
const UNSIGNED_MAX: u32 = 99;

/// Hashes that sign; SHA-1 is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "hmac-sha224" => Some(Self::Sha224),
            "hmac-sha256" => Some(Self::Sha256),
            "hmac-sha384" => Some(Self::Sha384),
            "hmac-sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha224 => "hmac-sha224.",
            Self::Sha256 => "hmac-sha256.",
            Self::Sha384 => "hmac-sha384.",
            Self::Sha512 => "hmac-sha512.",
        }
    }

    fn sign(self, key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
        fn with<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
            let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
            parts.iter().for_each(|part| mac.update(part));
            Some(mac.finalize().into_bytes().to_vec())
        }
        match self {
            Self::Sha224 => with::<Hmac<Sha224>>(key, parts),
            Self::Sha256 => with::<Hmac<Sha256>>(key, parts),
            Self::Sha384 => with::<Hmac<Sha384>>(key, parts),
            Self::Sha512 => with::<Hmac<Sha512>>(key, parts),
        }
    }

    fn is_signed(self, key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
        fn with<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
            let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return false };
            parts.iter().for_each(|part| mac.update(part));
            mac.verify_slice(signature).is_ok()
        }
        match self {
            Self::Sha224 => with::<Hmac<Sha224>>(key, parts, signature),
            Self::Sha256 => with::<Hmac<Sha256>>(key, parts, signature),
            Self::Sha384 => with::<Hmac<Sha384>>(key, parts, signature),
            Self::Sha512 => with::<Hmac<Sha512>>(key, parts, signature),
        }
    }
}

/// A key that both sides have.
#[derive(Debug)]
pub struct TsigKey {
    /// With its dot at the end.
    pub name: String,
    pub algorithm: Algorithm,
    pub secret: SecretSlice<u8>,
}

/// Why an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    #[error("it does not know the key, or takes the question's signature for wrong")]
    Refused,
    #[error("its clock and ours are too far apart")]
    Clock,
    #[error("its answer is not signed as it must be")]
    Unsigned,
    #[error("the signature of its answer is wrong")]
    Wrong,
}

impl From<Malformed> for Distrust {
    fn from(Malformed: Malformed) -> Self {
        Self::Wrong
    }
}

/// The answers to one signed question.
pub struct Sequence<'a> {
    key: &'a TsigKey,
    clock: &'a Clock,
    /// The signature before: the question's, then of the last answer that had one.
    pub(super) previous: Vec<u8>,
    /// Answers since.
    unsigned: Vec<u8>,
    unsigned_count: u32,
    is_first: bool,
}

/// What a signature says beside being right.
struct Signature {
    /// 48 bits.
    time: u64,
    fudge: u16,
    mac: Vec<u8>,
    original_id: u16,
    error: u16,
    other: Vec<u8>,
}

impl<'a> Sequence<'a> {
    /// Signs a question: the message grows by its signature.
    pub fn begin(key: &'a TsigKey, clock: &'a Clock, message: &mut Vec<u8>) -> Option<Self> {
        let id = u16::from_be_bytes([*message.first()?, *message.get(1)?]);
        let signature = Signature {
            time: seconds(clock),
            fudge: FUDGE,
            mac: Vec::new(),
            original_id: id,
            error: 0,
            other: Vec::new(),
        };
        let variables = variables(key, &signature)?;
        let mac = key.algorithm.sign(key.secret.expose_secret(), &[message, &variables])?;
        append(message, key, &Signature { mac: mac.clone(), ..signature })?;
        Some(Self { key, clock, previous: mac, unsigned: Vec::new(), unsigned_count: 0, is_first: true })
    }

    /// Whether the next answer is one of the other side's, or may still turn out to be: see [`Self::is_settled`].
    pub fn check(&mut self, octets: &[u8], message: &Message) -> Result<(), Distrust> {
        let Some(entry) = &message.signature else {
            self.unsigned_count += 1;
            if self.is_first || self.unsigned_count > UNSIGNED_MAX {
                return Err(Distrust::Unsigned);
            }
            self.unsigned.extend_from_slice(octets);
            return Ok(());
        };
        let (algorithm, signature) = read(octets, entry)?;
        match signature.error {
            0 => {}
            18 => return Err(Distrust::Clock), // BADTIME
            _ => return Err(Distrust::Refused),
        }
        if entry.name != self.key.name || algorithm != self.key.algorithm.name() {
            return Err(Distrust::Wrong);
        }
        // what was signed: the message before the signature came to it
        let mut bare = octets[..entry.start].to_vec();
        let additionals = u16::from_be_bytes([bare[10], bare[11]]).wrapping_sub(1);
        bare[10..12].copy_from_slice(&additionals.to_be_bytes());
        bare[..2].copy_from_slice(&signature.original_id.to_be_bytes());
        let length = u16::try_from(self.previous.len()).map_err(|_| Distrust::Wrong)?.to_be_bytes();
        let said = match self.is_first {
            true => variables(self.key, &signature).ok_or(Distrust::Wrong)?,
            false => timers(&signature),
        };
        let parts = [&length[..], &self.previous, &self.unsigned, &bare, &said];
        if !self.key.algorithm.is_signed(self.key.secret.expose_secret(), &parts, &signature.mac) {
            return Err(Distrust::Wrong);
        }
        if seconds(self.clock).abs_diff(signature.time) > u64::from(signature.fudge) {
            return Err(Distrust::Clock);
        }
        self.previous = signature.mac;
        self.unsigned.clear();
        (self.unsigned_count, self.is_first) = (0, false);
        Ok(())
    }

    /// Whether all answers so far are vouched for: the last one must be signed.
    pub fn is_settled(&self) -> bool {
        !self.is_first && self.unsigned_count == 0
    }
}

fn seconds(clock: &Clock) -> u64 {
    u64::try_from(clock.now().unix_timestamp()).unwrap_or_default()
}

fn timers(signature: &Signature) -> Vec<u8> {
    let mut octets = signature.time.to_be_bytes()[2..].to_vec();
    octets.extend(signature.fudge.to_be_bytes());
    octets
}

/// RFC 8945 section 4.3.3.
fn variables(key: &TsigKey, signature: &Signature) -> Option<Vec<u8>> {
    let mut octets = wire::name_octets(&key.name)?;
    octets.extend(CLASS_ANY.to_be_bytes());
    octets.extend(0u32.to_be_bytes());
    octets.extend(wire::name_octets(key.algorithm.name())?);
    octets.extend(timers(signature));
    octets.extend(signature.error.to_be_bytes());
    octets.extend(u16::try_from(signature.other.len()).ok()?.to_be_bytes());
    octets.extend(&signature.other);
    Some(octets)
}

fn append(message: &mut Vec<u8>, key: &TsigKey, signature: &Signature) -> Option<()> {
    let mut data = wire::name_octets(key.algorithm.name())?;
    data.extend(timers(signature));
    data.extend(u16::try_from(signature.mac.len()).ok()?.to_be_bytes());
    data.extend(&signature.mac);
    data.extend(signature.original_id.to_be_bytes());
    data.extend(signature.error.to_be_bytes());
    data.extend(u16::try_from(signature.other.len()).ok()?.to_be_bytes());
    data.extend(&signature.other);
    message.extend(wire::name_octets(&key.name)?);
    for number in [TYPE, CLASS_ANY, 0, 0, u16::try_from(data.len()).ok()?] {
        message.extend(number.to_be_bytes());
    }
    message.extend(data);
    let additionals = u16::from_be_bytes([*message.get(10)?, *message.get(11)?]) + 1;
    message.get_mut(10..12)?.copy_from_slice(&additionals.to_be_bytes());
    Some(())
}

/// Signs an answer as a server does, for tests: behind the signature before, and what came unsigned since. Gives the
/// signature alone, too.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn sign_answer(
    key: &TsigKey,
    message: &mut Vec<u8>,
    (previous, unsigned): (&[u8], &[u8]),
    is_first: bool,
    time: u64,
) -> Vec<u8> {
    let original_id = u16::from_be_bytes([message[0], message[1]]);
    let signature = Signature { time, fudge: FUDGE, mac: Vec::new(), original_id, error: 0, other: Vec::new() };
    let said = if is_first { variables(key, &signature).expect("short") } else { timers(&signature) };
    let length = (previous.len() as u16).to_be_bytes();
    let parts = [&length[..], previous, unsigned, message, &said];
    let mac = key.algorithm.sign(key.secret.expose_secret(), &parts).expect("signed");
    append(message, key, &Signature { mac: mac.clone(), ..signature }).expect("appended");
    mac
}

/// The algorithm's name and the signature.
fn read(octets: &[u8], entry: &wire::Entry) -> Result<(String, Signature), Malformed> {
    let mut reader = Reader::of(octets, &entry.data);
    let algorithm = reader.name()?;
    let time = u64::from(reader.u16()?) << 32 | u64::from(reader.u32()?);
    let fudge = reader.u16()?;
    let length = usize::from(reader.u16()?);
    let mac = reader.take(length)?.to_vec();
    let (original_id, error) = (reader.u16()?, reader.u16()?);
    let length = usize::from(reader.u16()?);
    let other = reader.take(length)?.to_vec();
    if !reader.is_at_end() {
        return Err(Malformed);
    }
    Ok((algorithm, Signature { time, fudge, mac, original_id, error, other }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8]) -> TsigKey {
        TsigKey { name: "key.test.".into(), algorithm: Algorithm::Sha256, secret: secret.to_vec().into() }
    }

    fn plain(id: u8, response: bool) -> Vec<u8> {
        vec![0, id, if response { 0x84 } else { 0 }, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    fn answer(key: &TsigKey, previous: &[u8], unsigned: &[u8], is_first: bool, time: u64) -> (Vec<u8>, Vec<u8>) {
        let mut message = plain(7, true);
        let mac = sign_answer(key, &mut message, (previous, unsigned), is_first, time);
        (message, mac)
    }

    fn checked(sequence: &mut Sequence<'_>, octets: &[u8]) -> Result<(), Distrust> {
        sequence.check(octets, &Message::read(octets).expect("reads"))
    }

    #[test]
    fn answers_are_believed_in_their_order_and_signed_at_last() {
        let (key, clock) = (key(b"secret"), Clock::system());
        let mut question = plain(7, false);
        let mut sequence = Sequence::begin(&key, &clock, &mut question).expect("signed");
        let asked = sequence.previous.clone();
        let (first, mac) = answer(&key, &asked, &[], true, seconds(&Clock::system()));
        assert_eq!(checked(&mut sequence, &first), Ok(()));
        assert!(sequence.is_settled());
        let between = [plain(7, true), plain(7, true)];
        for unsigned in &between {
            assert_eq!(checked(&mut sequence, unsigned), Ok(()));
            assert!(!sequence.is_settled());
        }
        let (last, _) = answer(&key, &mac, &between.concat(), false, seconds(&Clock::system()));
        assert_eq!(checked(&mut sequence, &last), Ok(()));
        assert!(sequence.is_settled());
        assert_eq!(checked(&mut sequence, &last), Err(Distrust::Wrong), "said before");
    }

    #[test]
    fn what_is_not_signed_by_the_key_is_not_believed() {
        let (key, clock) = (key(b"secret"), Clock::system());
        let begin = || {
            let mut question = plain(7, false);
            Sequence::begin(&key, &clock, &mut question).expect("signed")
        };
        let (mut sequence, other) = (begin(), self::key(b"another"));
        assert_eq!(checked(&mut sequence, &plain(7, true)), Err(Distrust::Unsigned));
        let asked = sequence.previous.clone();
        assert_eq!(
            checked(&mut sequence, &answer(&other, &asked, &[], true, seconds(&Clock::system())).0),
            Err(Distrust::Wrong)
        );
        let mut damaged = answer(&key, &asked, &[], true, seconds(&Clock::system())).0;
        damaged[3] |= 5;
        assert_eq!(checked(&mut sequence, &damaged), Err(Distrust::Wrong));
        assert_eq!(
            checked(&mut sequence, &answer(&key, &asked, &[], true, seconds(&Clock::system()) - 400).0),
            Err(Distrust::Clock)
        );
        assert_eq!(
            checked(&mut sequence, &answer(&key, b"of another question", &[], true, seconds(&Clock::system())).0),
            Err(Distrust::Wrong)
        );
        let (first, _) = answer(&key, &asked, &[], true, seconds(&Clock::system()));
        assert_eq!(checked(&mut sequence, &first), Ok(()));
        for _ in 0..UNSIGNED_MAX {
            assert_eq!(checked(&mut sequence, &plain(7, true)), Ok(()));
        }
        assert_eq!(checked(&mut sequence, &plain(7, true)), Err(Distrust::Unsigned));
    }
}
