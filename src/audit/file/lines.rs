//! Reads the lines of an audit file. Their length is bounded.

use std::io::{self, BufRead};

/// The longest line that is read, in bytes. A longer one is not an audit line.
const MAX_LINE: usize = 4 << 20;

/// The lines of a file.
pub(super) struct Lines<R>(pub(super) R);

/// A line without its end.
pub(super) enum Line {
    /// The line, with its length in the file.
    Whole(Vec<u8>),
    /// The last line has no end.
    Torn,
    /// The line is longer than an audit line.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    /// Returns the next line, and its length in the file. `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(Line, u64)>> {
        let (mut line, mut length) = (Vec::new(), 0);
        loop {
            let buffer = self.0.fill_buf()?;
            if buffer.is_empty() {
                return Ok((length > 0).then_some((Line::Torn, length)));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            if line.len() <= MAX_LINE {
                line.extend_from_slice(&buffer[..end.unwrap_or(taken)]);
            }
            self.0.consume(taken);
            length += taken as u64;
            if end.is_some() {
                let is_long = line.len() > MAX_LINE;
                let line = if is_long { Line::TooLong } else { Line::Whole(line) };
                return Ok(Some((line, length)));
            }
        }
    }
}
