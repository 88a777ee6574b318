//! LOC: where something is on earth (RFC 1876). All arithmetic is on whole thousandths of a second and centimetres, as
//! on the wire.

use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};

const FORM: &str = "<degrees> [<minutes> [<seconds>]] N|S <degrees> [<minutes> [<seconds>]] E|W <altitude>m [<size>m \
                    [<horizontal precision>m [<vertical precision>m]]]";

/// Thousandths of a second in a degree.
const PER_DEGREE: u64 = 3_600_000;
/// Centimetres: the sphere's surface is the zero of altitudes, 100 km below it the lowest. The wire has twice as much
/// above, which PowerDNS takes for depths.
const ALTITUDE_MIN: i64 = -10_000_000;
const ALTITUDE_MAX: i64 = i32::MAX as i64 - 10_000_000;
/// Centimetres. The wire goes to 9 × 10⁹; PowerDNS cuts what has more than 32 bits.
const SIZE_MAX: i64 = 4_000_000_000;
/// What RFC 1876 section 3 lets one leave out, in centimetres.
const SIZES_DEFAULT: [u64; 3] = [100, 1_000_000, 1_000];
const SIZE_NAMES: [&str; 3] = ["size", "horizontal precision", "vertical precision"];

pub(in crate::dns) struct Loc;

impl RecordDefinition for Loc {
    fn description(&self) -> &'static str {
        "Place on earth"
    }

    fn example(&self) -> &'static str {
        "52 22 23.000 N 4 53 32.000 E -2.00m 1.00m 10000.00m 10.00m"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let mut words = content.split(' ').filter(|word| !word.is_empty());
        let latitude = angle(&mut words, &LATITUDE)?;
        let longitude = angle(&mut words, &LONGITUDE)?;
        let altitude = words.next().ok_or_else(wrong_form)?;
        let altitude = metres(altitude, "altitude", ALTITUDE_MIN, ALTITUDE_MAX)?;
        let mut warnings = Vec::new();
        let mut canonical = format!("{latitude} {longitude} {}", in_metres(altitude));
        for (name, default) in SIZE_NAMES.into_iter().zip(SIZES_DEFAULT) {
            let wanted = match words.next() {
                Some(word) => metres(word, name, 0, SIZE_MAX)?.unsigned_abs(),
                None => default,
            };
            let kept = one_digit(wanted);
            if kept != wanted {
                let (wanted, kept) = (in_metres(wanted.cast_signed()), in_metres(kept.cast_signed()));
                warnings.push(Warning::content(format!("{name} {wanted} is kept as {kept}: it has one digit")));
            }
            canonical.push(' ');
            canonical.push_str(&in_metres(kept.cast_signed()));
        }
        if words.next().is_some() {
            return Err(wrong_form());
        }
        Ok(Parsed { canonical, warnings })
    }

    fn wire_length(&self, _canonical: &str) -> usize {
        16
    }
}

struct Axis {
    name: &'static str,
    degrees_max: u64,
    positive: &'static str,
    negative: &'static str,
}

const LATITUDE: Axis = Axis { name: "latitude", degrees_max: 90, positive: "N", negative: "S" };
const LONGITUDE: Axis = Axis { name: "longitude", degrees_max: 180, positive: "E", negative: "W" };

/// An angle in canonical form; zero is south and west, as PowerDNS has it.
fn angle<'a>(words: &mut impl Iterator<Item = &'a str>, axis: &Axis) -> Result<String, FieldError> {
    let Axis { name, degrees_max, positive, negative } = axis;
    let mut parts = [0; 3];
    for position in 0..=parts.len() {
        let word = words.next().ok_or_else(wrong_form)?;
        let is_negative = word.eq_ignore_ascii_case(negative);
        if is_negative || word.eq_ignore_ascii_case(positive) {
            if position == 0 {
                return Err(wrong_form());
            }
            let total = parts[0] * PER_DEGREE + parts[1] * 60_000 + parts[2];
            if total > degrees_max * PER_DEGREE {
                return Err(FieldError::content(format!("{name} is over {degrees_max} degrees")));
            }
            let hemisphere = if is_negative || total == 0 { negative } else { positive };
            let [degrees, minutes, thousandths] = parts;
            return Ok(format!("{degrees} {minutes} {}.{:03} {hemisphere}", thousandths / 1_000, thousandths % 1_000));
        }
        let part = match position {
            0 => decimal(word, 0).filter(|degrees| degrees <= degrees_max),
            1 => decimal(word, 0).filter(|minutes| *minutes < 60),
            2 => decimal(word, 3).filter(|thousandths| *thousandths < 60_000),
            _ => return Err(wrong_form()),
        };
        let what = ["degrees", "minutes", "seconds"][position];
        parts[position] = part.ok_or_else(|| FieldError::content(format!("{what} of the {name} are out of range")))?;
    }
    Err(wrong_form())
}

/// Metres with at most two decimals, in centimetres.
fn metres(word: &str, what: &str, min: i64, max: i64) -> Result<i64, FieldError> {
    let wrong = || FieldError::content(format!("{what} must be {} to {}", in_metres(min), in_metres(max)));
    let number = word.strip_suffix(['m', 'M']).unwrap_or(word);
    let (number, negative) = number.strip_prefix('-').map_or((number, false), |number| (number, true));
    let value = decimal(number, 2).and_then(|value| i64::try_from(value).ok()).ok_or_else(wrong)?;
    let value = if negative { -value } else { value };
    if (min..=max).contains(&value) { Ok(value) } else { Err(wrong()) }
}

/// A number with at most `places` decimals, times 10 to that power.
fn decimal(text: &str, places: usize) -> Option<u64> {
    const DIGITS_MAX: usize = 12; // far from overflow
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || whole.len() > DIGITS_MAX {
        return None;
    }
    let fraction = match fraction {
        None => "",
        Some(fraction) if places > 0 && are_digits(fraction) && fraction.len() <= places => fraction,
        Some(_) => return None,
    };
    format!("{whole}{fraction:0<places$}").parse().ok()
}

/// The wire has one digit and a power of ten (RFC 1876 section 2).
fn one_digit(centimetres: u64) -> u64 {
    let mut unit = 1;
    while centimetres / unit >= 10 {
        unit *= 10;
    }
    centimetres / unit * unit
}

fn in_metres(centimetres: i64) -> String {
    let sign = if centimetres < 0 { "-" } else { "" };
    let value = centimetres.unsigned_abs();
    format!("{sign}{}.{:02}m", value / 100, value % 100)
}

fn wrong_form() -> FieldError {
    FieldError::content(format!("content must be of the form '{FORM}'"))
}
