//! BIND's `$GENERATE`: one line for each number of a range.

/// The largest number of a range: what BIND takes.
const NUMBER_MAX: i64 = i32::MAX as i64;
/// Digits that a number may be padded to.
const WIDTH_MAX: usize = 63;

pub(super) struct Generate {
    start: i64,
    stop: i64,
    step: i64,
    template: Vec<Piece>,
}

enum Piece {
    Text(String),
    Number(Form),
}

/// `${offset,width,base}`.
struct Form {
    offset: i64,
    width: usize,
    base: Base,
}

#[derive(Clone, Copy)]
enum Base {
    Decimal,
    Octal,
    Hexadecimal,
    HexadecimalUpper,
    /// Digits from the last to the first, with dots between, as in `ip6.arpa`.
    Nibbles,
    NibblesUpper,
}

impl Generate {
    /// `<start>-<stop>[/<step>] <name> [<ttl>] [<class>] <type> <content>`.
    pub(super) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let form = "the directive must be of the form '$GENERATE <start>-<stop>[/<step>] <name> <type> <content>'";
        let [range, name, rest @ .., content] = arguments else { return Err(form.to_owned()) };
        if rest.is_empty() {
            return Err(form.to_owned());
        }
        let (start, stop, step) = parse_range(range).ok_or_else(|| format!("'{range}' is not a range"))?;
        let mut line = (*name).to_owned();
        for word in rest {
            line.push(' ');
            line.push_str(word);
        }
        // several words may stand as one in quotes, which belong to the content only where it is text
        let is_text = rest.last().is_some_and(|word| word.eq_ignore_ascii_case("TXT"));
        let unquoted = content.strip_prefix('"').and_then(|content| content.strip_suffix('"'));
        line.push(' ');
        line.push_str(unquoted.filter(|_| !is_text).unwrap_or(content));
        Ok(Self { start, stop, step, template: parse_template(&line)? })
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Result<String, String>> + '_ {
        let numbers = std::iter::successors(Some(self.start), |number| Some(number + self.step));
        numbers.take_while(|number| *number <= self.stop).map(|number| {
            let mut line = String::new();
            for piece in &self.template {
                match piece {
                    Piece::Text(text) => line.push_str(text),
                    Piece::Number(form) => line.push_str(&form.render(number)?),
                }
            }
            Ok(line)
        })
    }
}

fn parse_range(text: &str) -> Option<(i64, i64, i64)> {
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (start, stop) = range.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i64>().ok()).flatten().filter(|number| *number <= NUMBER_MAX)
    };
    let (start, stop, step) = (number(start)?, number(stop)?, number(step)?);
    (start <= stop && step > 0).then_some((start, stop, step))
}

fn parse_template(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(position) = rest.find(['$', '\\']) {
        plain.push_str(&rest[..position]);
        rest = &rest[position..];
        if let Some(tail) = rest.strip_prefix("\\$").or_else(|| rest.strip_prefix("$$")) {
            plain.push('$');
            rest = tail;
        } else if rest.starts_with('\\') {
            let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            plain.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            let (form, tail) = parse_form(&rest[1..])?;
            pieces.push(Piece::Number(form));
            rest = tail;
        }
    }
    plain.push_str(rest);
    pieces.push(Piece::Text(plain));
    Ok(pieces)
}

/// What stands behind a `$`.
fn parse_form(text: &str) -> Result<(Form, &str), String> {
    let Some(inside) = text.strip_prefix('{') else {
        return Ok((Form { offset: 0, width: 0, base: Base::Decimal }, text));
    };
    let wrong = || "a number must be of the form '${<offset>,<width>,<base>}'".to_owned();
    let (inside, tail) = inside.split_once('}').ok_or_else(wrong)?;
    let mut parts = inside.split(',');
    let offset = parts.next().and_then(|offset| offset.parse::<i64>().ok()).filter(|offset| offset.abs() <= NUMBER_MAX);
    let offset = offset.ok_or_else(wrong)?;
    let width = parts.next().map_or(Ok(0), |width| width.parse::<usize>().map_err(|_| wrong()))?;
    let base = match parts.next() {
        None | Some("d") => Base::Decimal,
        Some("o") => Base::Octal,
        Some("x") => Base::Hexadecimal,
        Some("X") => Base::HexadecimalUpper,
        Some("n") => Base::Nibbles,
        Some("N") => Base::NibblesUpper,
        Some(_) => return Err(wrong()),
    };
    if parts.next().is_some() || width > WIDTH_MAX {
        return Err(wrong());
    }
    Ok((Form { offset, width, base }, tail))
}

impl Form {
    fn render(&self, number: i64) -> Result<String, String> {
        let Self { offset, width, base } = *self;
        let value = u64::try_from(number + offset).map_err(|_| format!("{} is below 0", number + offset))?;
        Ok(match base {
            Base::Decimal => format!("{value:0width$}"),
            Base::Octal => format!("{value:0width$o}"),
            Base::Hexadecimal => format!("{value:0width$x}"),
            Base::HexadecimalUpper => format!("{value:0width$X}"),
            Base::Nibbles => nibbles(value, width),
            Base::NibblesUpper => nibbles(value, width).to_ascii_uppercase(),
        })
    }
}

/// As many as the value needs, and until the text is `width` long; the dots count.
fn nibbles(mut value: u64, width: usize) -> String {
    let mut out = String::new();
    loop {
        out.extend(char::from_digit((value & 0xf) as u32, 16));
        value >>= 4;
        if value == 0 && out.len() >= width {
            return out;
        }
        out.push('.');
        if value == 0 && out.len() >= width {
            return out;
        }
    }
}
