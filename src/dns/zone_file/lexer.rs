//! The words of a master file (RFC 1035 section 5.1): comments, quotes, escapes, parentheses.

use super::LineError;

/// What a line that holds a disabled record begins with; to every other program it is a comment.
pub(super) const DISABLED: &str = ";disabled ";

/// One entry of the file: a line, or several within parentheses.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// Where it begins, from 1.
    pub line: usize,
    /// The line begins with a blank: the owner is that of the entry before.
    pub is_continued: bool,
    pub disabled: bool,
    /// As they stand there, quotes and escapes included.
    pub words: Vec<&'a str>,
}

pub(super) struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    /// Within an entry of another lexer.
    pub(super) fn at(text: &'a str, line: usize) -> Self {
        Self { rest: text, line }
    }

    fn take(&mut self, octets: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(octets);
        self.rest = rest;
        taken
    }

    fn end_line(&mut self) {
        let end = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
        self.take(end);
        self.line += 1;
    }

    fn entry(&mut self) -> Result<Entry<'a>, LineError> {
        let disabled = self.rest.starts_with(DISABLED);
        if disabled {
            self.take(DISABLED.len());
        }
        let line = self.line;
        let is_continued = self.rest.starts_with([' ', '\t']);
        let mut words = Vec::new();
        let mut open: Option<usize> = None;
        loop {
            let Some(first) = self.rest.bytes().next() else {
                return match open {
                    Some(line) => Err(LineError::new(line, "a parenthesis is not closed")),
                    None => Ok(Entry { line, is_continued, disabled, words }),
                };
            };
            match first {
                b' ' | b'\t' | b'\r' => drop(self.take(1)),
                b'\n' | b';' => {
                    self.end_line();
                    if open.is_none() {
                        return Ok(Entry { line, is_continued, disabled, words });
                    }
                }
                b'(' if open.is_none() => {
                    open = Some(self.line);
                    self.take(1);
                }
                b')' if open.is_some() => {
                    open = None;
                    self.take(1);
                }
                b'(' | b')' => {
                    let error = LineError::new(self.line, "a parenthesis stands where none may");
                    self.end_line();
                    return Err(error);
                }
                _ => words.push(self.word()?),
            }
        }
    }

    /// A quoted string, or everything to the next blank; quotes within it, as in `alpn="h2,h3"`, belong to it.
    fn word(&mut self) -> Result<&'a str, LineError> {
        let starts_quoted = self.rest.starts_with('"');
        let (mut quoted, mut escaped) = (false, false);
        for (position, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'\n' if quoted || escaped => {
                    let error = LineError::new(self.line, "a quoted string or an escape ends with the line");
                    self.end_line();
                    return Err(error);
                }
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    quoted = !quoted;
                    if starts_quoted && !quoted {
                        return Ok(self.take(position + 1));
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' if !quoted => return Ok(self.take(position)),
                _ => {}
            }
        }
        let line = self.line;
        let all = self.take(self.rest.len());
        if quoted || escaped { Err(LineError::new(line, "a quoted string is not closed")) } else { Ok(all) }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Entry<'a>, LineError>;

    /// The next entry with words.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.entry() {
                Ok(entry) if entry.words.is_empty() => {}
                other => return Some(other),
            }
        }
        None
    }
}
