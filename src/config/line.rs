//! One logical line of a UCI file: physical lines that quotes or a `\` join, split into words and arguments.
//!
//! What libuci does with a buffer that it overwrites in place is done here by copying, with the same outcome, down to
//! the byte offsets that it reports. Knows quoting and white space, not statements: those are in `uci.rs`.

use super::uci::Reason;

/// The reader of libuci begins with a buffer of this many bytes and doubles it. Seen from outside only when a file
/// holds NUL bytes: what follows one is lost up to the end of the piece that fitted the buffer. (Some 25 lines with NUL
/// bytes bring its buffer to 2 GiB, where it hangs or gives up; here nothing is allocated, and reading goes on.)
const FIRST_CAPACITY: usize = 32;

/// A cursor over the logical line being read, and what of the file is still unread.
pub(super) struct Line<'a> {
    unread: &'a [u8],
    text: Vec<u8>,
    pos: usize,
    capacity: usize,
    newlines: u32,
    number: u32,
    next_number: u32,
}

impl<'a> Line<'a> {
    pub(super) fn new(file: &'a [u8]) -> Self {
        let text = Vec::new();
        Self { unread: file, text, pos: 0, capacity: FIRST_CAPACITY, newlines: 0, number: 1, next_number: 1 }
    }

    /// Begins the next line, blank or not; `false` at the end of the file.
    pub(super) fn advance(&mut self) -> bool {
        if self.unread.is_empty() {
            return false;
        }
        self.pos = 0;
        self.fill();
        self.skip_space();
        true
    }

    /// Number of the physical line under the cursor, from 1.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// How libuci counts: finished lines so far (an unfinished last line is not one), and the offset in the joined line.
    pub(super) const fn position(&self) -> (u32, usize) {
        (self.newlines, self.pos)
    }

    /// The command word that begins a statement, ended by blank, tab or the end, and not consumed.
    /// Only blanks and tabs may stand before it. `None` at the end of the line.
    pub(super) fn word(&self) -> Option<&[u8]> {
        let rest = self.text.get(self.pos..)?;
        let start = rest.iter().position(|&b| !is_blank(b))?;
        let word = rest.get(start..)?;
        word.split(|&b| is_blank(b)).next()
    }

    /// Steps over the command word and the one blank that must follow it; `false`, and no step, without the blank.
    pub(super) fn skip_word(&mut self) -> bool {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let lead = rest.iter().take_while(|&&b| is_blank(b)).count();
        let length = rest.iter().skip(lead).take_while(|&&b| !is_blank(b)).count();
        let end = self.pos + lead + length;
        if end >= self.text.len() {
            return false;
        }
        self.pos = end + 1;
        true
    }

    /// The next argument, without its quotes; empty where there is none. A `;` in its place is consumed.
    pub(super) fn argument(&mut self) -> Result<Vec<u8>, Reason> {
        self.skip_space();
        if self.current() == Some(b';') {
            self.pos += 1;
            return Ok(Vec::new());
        }
        let start = self.pos;
        let mut argument = Vec::new();
        loop {
            match self.current() {
                Some(b'\'') => self.single_quoted(&mut argument)?,
                Some(b'"') => self.double_quoted(&mut argument)?,
                Some(b'#') => self.text.truncate(self.pos),
                Some(b';') => {
                    // A plain word that runs into `;` takes the rest of the line with it; a quoted one does not.
                    if argument.len() == self.pos - start {
                        self.text.truncate(self.pos);
                    }
                    return Ok(argument);
                }
                Some(b'\\') => self.escaped(&mut argument),
                Some(_) => self.take(&mut argument),
                None => return Ok(argument),
            }
            if self.current().is_some_and(is_space) {
                self.pos += 1;
                return Ok(argument);
            }
        }
    }

    pub(super) fn skip_space(&mut self) {
        while self.current().is_some_and(is_space) {
            self.pos += 1;
        }
    }

    fn current(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    fn take(&mut self, argument: &mut Vec<u8>) {
        argument.extend(self.current());
        self.pos += 1;
    }

    fn single_quoted(&mut self, argument: &mut Vec<u8>) -> Result<(), Reason> {
        self.pos += 1;
        loop {
            match self.current() {
                Some(b'\'') => break,
                Some(_) => self.take(argument),
                None => self.fill_quoted()?,
            }
        }
        self.pos += 1;
        Ok(())
    }

    fn double_quoted(&mut self, argument: &mut Vec<u8>) -> Result<(), Reason> {
        self.pos += 1;
        loop {
            match self.current() {
                Some(b'"') => break,
                Some(b'\\') => self.escaped(argument),
                Some(_) => self.take(argument),
                None => self.fill_quoted()?,
            }
        }
        self.pos += 1;
        Ok(())
    }

    /// A `\` takes the next byte as it is; at the end of a line it joins the next one, without the line end.
    fn escaped(&mut self, argument: &mut Vec<u8>) {
        self.pos += 1;
        match self.text.get(self.pos..) {
            None | Some([] | [b'\n', ..] | [b'\r', b'\n']) => self.fill(),
            Some(_) => self.take(argument),
        }
    }

    fn fill_quoted(&mut self) -> Result<(), Reason> {
        self.fill();
        self.current().map(|_| ()).ok_or(Reason::OpenQuote)
    }

    /// Puts the next physical line where the cursor stands, in place of what stood there.
    fn fill(&mut self) {
        self.text.truncate(self.pos);
        if !self.unread.is_empty() {
            self.number = self.next_number;
        }
        if self.pos + 1 >= self.capacity {
            self.capacity = self.capacity.saturating_mul(2);
        }
        loop {
            let piece = self.read_piece(self.capacity - self.text.len() - 1);
            match piece.split(|&b| b == 0).next() {
                None | Some([]) => return,
                Some(seen) => self.text.extend_from_slice(seen),
            }
            if self.text.last() == Some(&b'\n') {
                self.newlines += 1;
                return;
            }
            self.capacity = self.capacity.saturating_mul(2);
        }
    }

    /// Takes up to `room` bytes off the file, not beyond the end of the line.
    fn read_piece(&mut self, room: usize) -> &'a [u8] {
        let line = self.unread.iter().position(|&b| b == b'\n').map_or(self.unread.len(), |end| end + 1);
        let (piece, unread) = self.unread.split_at(line.min(room));
        self.unread = unread;
        self.next_number += u32::from(piece.ends_with(b"\n"));
        piece
    }
}

/// What separates arguments: the six of the C locale.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// What ends a command word.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
        let mut line = Line::new(text);
        line.advance();
        let mut all = Vec::new();
        while line.current().is_some() {
            all.push(line.argument()?);
        }
        Ok(all)
    }

    #[test]
    fn arguments_are_split_as_libuci_splits_them() {
        let table: [(&[u8], &[&[u8]]); 16] = [
            (b"a b", &[b"a", b"b"]),
            (b" \t a\x0b\x0cb", &[b"a", b"b"]),
            (b"'a b'\"c d\"e f", &[b"a bc de", b"f"]),
            (b"a\\ b \\c", &[b"a b", b"c"]),
            (b"'a\\' b", &[b"a\\", b"b"]),
            (b"\"a\\\"b\\\\\"", &[b"a\"b\\"]),
            (b"a#b c", &[b"a"]),
            (b"'a#b' # c", &[b"a#b", b""]),
            (b"a;b c", &[b"a"]),
            (b"'a';b", &[b"a", b"", b"b"]),
            (b"a ;b", &[b"a", b"", b"b"]),
            (b"'a\nb' c", &[b"a\nb", b"c"]),
            (b"a\\\nb c", &[b"ab", b"c"]),
            (b"a\\\r\nb", &[b"ab"]),
            (b"\"a\\\nb\"", &[b"ab"]),
            (b"'\xff\x80' \xa0", &[b"\xff\x80", b"\xa0"]),
        ];
        for (text, expected) in table {
            let found = arguments(text).unwrap();
            assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_quote_without_end_is_refused() {
        for text in [&b"'a\nb"[..], b"\"a", b"\"a\\", b"'a\n\0'"] {
            assert_eq!(arguments(text), Err(Reason::OpenQuote), "{text:?}");
        }
    }

    #[test]
    fn what_follows_a_nul_byte_is_lost_to_the_end_of_its_piece() {
        let mut line = Line::new(b"a\0b\nc\n\0d\ne");
        assert!(line.advance());
        assert_eq!(line.text, b"ac\n");
        assert!(line.advance());
        assert_eq!(line.text, b"");
        assert!(line.advance());
        assert_eq!((line.text.as_slice(), line.number()), (&b"e"[..], 4));
        assert!(!line.advance());
    }

    #[test]
    fn many_lines_cut_by_nul_bytes_are_one_line_and_overflow_nothing() {
        let file = b"x\0\n".repeat(200);
        let mut line = Line::new(&file);
        assert!(line.advance());
        assert_eq!(line.text, b"x".repeat(200));
        assert!(!line.advance());
    }

    #[test]
    fn lines_are_numbered_from_one_even_when_joined() {
        let mut line = Line::new(b"a 'b\nc' d\ne");
        line.advance();
        assert_eq!(line.number(), 1);
        line.argument().unwrap();
        line.argument().unwrap();
        assert_eq!((line.number(), line.position()), (2, (2, 8)));
        line.advance();
        assert_eq!((line.number(), line.position()), (3, (2, 0)));
    }
}
