//! The format of exports: lines of JSON, which are read and written one at a time.
//!
//! * The first line names the format: `{"format":"tower-credentials-export","version":1,
//!   "created_at":1790000000000000}`, in microseconds since 1970.
//! * One line per record; see [`record`].
//! * The last line proves that the export is complete: `{"records":2,"sha256":"..."}`, the
//!   number of records and the SHA-256 of all lines before this one, in hex.
//!
//! Every line ends with a line feed.

use std::{
    fmt,
    io::{self, BufRead, Read, Write},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tower_credentials::domain::{Credential, to_micros};

use crate::record;

const FORMAT: &str = "tower-credentials-export";
const VERSION: u32 = 1;

/// The largest length of a line in bytes.
const MAX_LINE: u64 = 64 << 20;

#[derive(Deserialize, Serialize)]
struct Header {
    format: String,
    version: u32,
    created_at: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    records: u64,
    sha256: String,
}

/// Writes an export.
pub(crate) struct Writer<W> {
    inner: W,
    digest: Sha256,
    records: u64,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(inner: W, now: SystemTime) -> io::Result<Self> {
        let (digest, line) = (Sha256::new(), Vec::new());
        let mut writer = Self { inner, digest, records: 0, line };
        let created_at = to_micros(now);
        let header = Header { format: FORMAT.into(), version: VERSION, created_at };
        serde_json::to_writer(&mut writer.line, &header)?;
        writer.line.push(b'\n');
        writer.end_line()?;
        Ok(writer)
    }

    /// Writes a record, and when it was last used, if that is known.
    pub(crate) fn write(
        &mut self,
        record: &Credential,
        last_used: Option<SystemTime>,
    ) -> io::Result<()> {
        record::write(record, last_used, &mut self.line)?;
        self.records += 1;
        self.end_line()
    }

    /// Writes the last line; returns the inner writer and the number of records.
    pub(crate) fn finish(mut self) -> io::Result<(W, u64)> {
        let sha256 = hex(&self.digest);
        serde_json::to_writer(&mut self.line, &Footer { records: self.records, sha256 })?;
        self.line.push(b'\n');
        self.end_line()?;
        Ok((self.inner, self.records))
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.digest.update(&self.line);
        self.inner.write_all(&self.line)?;
        self.line.clear();
        Ok(())
    }
}

type Line = (Credential, Option<SystemTime>);

/// Reads an export.
pub(crate) struct Reader<R> {
    inner: R,
    digest: Sha256,
    records: u64,
    line: Vec<u8>,
    is_finished: bool,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(inner: R) -> Result<Self, ReadError> {
        let (digest, line) = (Sha256::new(), Vec::new());
        let mut reader = Self { inner, digest, records: 0, line, is_finished: false };
        reader.next_line()?;
        let header = serde_json::from_slice(&reader.line);
        let Header { version, .. } = header
            .ok()
            .filter(|header: &Header| header.format == FORMAT)
            .ok_or(ReadError::NotAnExport)?;
        if version != VERSION {
            return Err(ReadError::Version(version));
        }
        reader.digest.update(&reader.line);
        Ok(reader)
    }

    /// Returns the next record, and when it was last used, if that is known. `None` means that
    /// the export is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, ReadError> {
        if self.is_finished {
            return Ok(None);
        }
        self.next_line()?;
        match record::read(&self.line) {
            Ok(line) => {
                self.digest.update(&self.line);
                self.records += 1;
                Ok(Some(line))
            }
            Err(what) => {
                let footer = serde_json::from_slice(&self.line);
                let footer: Footer = footer.map_err(|_| self.damaged(what))?;
                self.end(&footer).map(|()| None)
            }
        }
    }

    fn end(&mut self, footer: &Footer) -> Result<(), ReadError> {
        if footer.records != self.records {
            return Err(self.damaged("number of records"));
        }
        if footer.sha256 != hex(&self.digest) {
            return Err(self.damaged("digest"));
        }
        let mut more = [0];
        if self.inner.read(&mut more).map_err(ReadError::of)? > 0 {
            return Err(self.damaged("end: data follows the last line"));
        }
        self.is_finished = true;
        Ok(())
    }

    /// Reads a line, with the line feed.
    fn next_line(&mut self) -> Result<(), ReadError> {
        self.line.clear();
        let mut bounded = (&mut self.inner).take(MAX_LINE);
        bounded.read_until(b'\n', &mut self.line).map_err(ReadError::of)?;
        match self.line.last() {
            Some(b'\n') => Ok(()),
            Some(_) if self.line.len() as u64 == MAX_LINE => Err(self.damaged("length")),
            _ => Err(ReadError::Truncated),
        }
    }

    fn damaged(&self, what: &'static str) -> ReadError {
        // The first line is the header.
        ReadError::Damaged { line: self.records + 2, what }
    }
}

fn hex(digest: &Sha256) -> String {
    data_encoding::HEXLOWER.encode(&digest.clone().finalize())
}

/// Why an export cannot be read. The message contains nothing from the export.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// A line has another content than was written.
    Damaged { line: u64, what: &'static str },
    /// The file cannot be read.
    Io(io::Error),
    /// The file is not an export.
    NotAnExport,
    /// A chunk of a sealed file was altered.
    Tampered,
    /// The export ends before its last line.
    Truncated,
    /// A later release wrote the export.
    Version(u32),
}

impl ReadError {
    /// Converts the error of a read from a sealed or plain file.
    pub(crate) fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Tampered,
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { line, what } => {
                write!(f, "the export is damaged: line {line}: invalid {what}")
            }
            Self::Io(error) => write!(f, "cannot read the export: {error}"),
            Self::NotAnExport => f.write_str("not an export"),
            Self::Tampered => f.write_str("the export was altered after it was sealed"),
            Self::Truncated => f.write_str("the export is truncated"),
            Self::Version(version) => {
                write!(f, "the export has version {version}; this release reads version {VERSION}")
            }
        }
    }
}
