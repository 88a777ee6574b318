//! The text of a template, taken apart: `${name}` is a placeholder, `$${` a `${` that is meant as such, and every other
//! `$` is one.

/// As long as a label may be, and one more.
const VARIABLE_OCTETS_MAX: usize = 64;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    /// The name alone.
    Placeholder(&'a str),
}

/// Takes a text apart.
///
/// # Errors
/// Says which placeholder is none.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            // the first `$` goes, `${` stays
            found.extend([Piece::Text(&rest[..at - 1]), Piece::Text("${")]);
            rest = &rest[at + 2..];
            continue;
        }
        let (name, behind) = rest[at + 2..].split_once('}').ok_or("a ${ has no } behind it")?;
        if !is_variable(name) {
            let shown: String = name.chars().take(VARIABLE_OCTETS_MAX).collect();
            return Err(format!("${{{}}} is no placeholder; write $${{ for a ${{", shown.escape_debug()));
        }
        found.extend([Piece::Text(&rest[..at]), Piece::Placeholder(name)]);
        rest = behind;
    }
    found.push(Piece::Text(rest));
    Ok(found)
}

/// Whether a variable may be called so.
pub fn is_variable(name: &str) -> bool {
    let is_inside = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.len() <= VARIABLE_OCTETS_MAX
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && name.bytes().all(is_inside)
}
