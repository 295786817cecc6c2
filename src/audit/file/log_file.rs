//! The file on the disk: appends lines, and finds out what it contains after a crash.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{File, Metadata, OpenOptions, TryLockError},
    io::{self, BufReader, Seek, Write},
    path::{Path, PathBuf},
    str,
};

use serde_json::Value;

use super::{
    chain::{self, AuditKey, ChainHead},
    error::AuditFileError,
    lines::{Line, Lines},
};
use crate::audit::AuditId;

/// How many rotated files are tried.
const MAX_ROTATED: usize = 8;

/// An audit file that is open for appending. No other process can open it so.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    /// How much of the file is known to be on the disk.
    durable: u64,
}

/// Why lines are not in the file.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing was written.
    Nothing(io::Error),
    /// The file must be opened and read again, to find out what was written.
    Unknown(io::Error),
}

/// What a file contained when it was opened.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The last line. `None` for an empty file.
    pub(super) head: Option<ChainHead>,
    /// The intents without an outcome.
    pub(super) open: BTreeMap<AuditId, Value>,
    /// The line with the number after which lines are listed.
    pub(super) at_after: Option<ChainHead>,
    /// The types and ids of the lines after that number.
    pub(super) recent: HashSet<(String, AuditId)>,
}

impl LogFile {
    /// Opens or creates the file, reads it, and removes an incomplete last line. Lists the lines
    /// after the number `after`.
    pub(super) fn open(
        path: &Path,
        key: &AuditKey,
        after: u64,
    ) -> Result<(Self, Content), AuditFileError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(AuditFileError::NotAFile);
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AuditFileError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let (content, length) = read(&file, key, after)?;
        if file.metadata()?.len() > length {
            tracing::warn!(path = ?path, "removing the incomplete last line of the audit file");
            file.set_len(length)?;
        }
        Ok((Self { path: path.to_owned(), file, length, durable: length }, content))
    }

    /// Returns whether the file has no line.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns whether the path still names this file, and the file was not cut.
    pub(super) fn is_current(&self) -> bool {
        let Ok(named) = std::fs::metadata(&self.path) else { return false };
        let is_same = self.file.metadata().is_ok_and(|own| is_same(&own, &named));
        is_same && named.len() >= self.length
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), Failed> {
        match self.file.write_all(lines) {
            Ok(()) => {
                self.length += lines.len() as u64;
                Ok(())
            }
            // Removes what was written.
            Err(error) => Err(match self.file.set_len(self.length) {
                Ok(()) => Failed::Nothing(error),
                Err(_) => Failed::Unknown(error),
            }),
        }
    }

    /// Waits until the lines are durable.
    pub(super) fn sync(&mut self) -> Result<(), Failed> {
        self.file.sync_data().map_err(Failed::Unknown)?;
        self.durable = self.length;
        Ok(())
    }

    /// Returns how much of the file is known to be on the disk.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    /// Syncs again what an earlier handle of the same file failed to sync, after `durable`.
    ///
    /// Linux takes pages for clean that it failed to write, so that a second sync would succeed
    /// without them. Therefore they are written again, with the same content.
    pub(super) fn sync_again(&mut self, durable: u64) -> Result<(), Failed> {
        self.durable = durable.min(self.length);
        #[cfg(unix)]
        self.rewrite().map_err(Failed::Unknown)?;
        self.sync()
    }

    #[cfg(unix)]
    fn rewrite(&self) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;

        // Not for appending, which would ignore the position.
        let file = OpenOptions::new().write(true).open(&self.path)?;
        if !is_same(&file.metadata()?, &self.file.metadata()?) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (mut position, mut bytes) = (self.durable, vec![0; 64 << 10]);
        while position < self.length {
            let read = self.file.read_at(&mut bytes, position)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.write_all_at(&bytes[..read], position)?;
            position += read as u64;
        }
        Ok(())
    }

    /// Waits until the name of a new file is durable.
    pub(super) fn sync_name(&self) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if cfg!(unix) { File::open(folder.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
    }
}

/// Reads the newest of the files into which earlier rotations have renamed the file: `NAME.*` or
/// `NAME-*` in the same folder. Returns an empty content if none of the newest eight is an audit file
/// under this key.
pub(super) fn newest_rotated(path: &Path, key: &AuditKey) -> Content {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Content::default();
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return Content::default();
    };
    let rotated = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let other = entry.file_name();
        let rest = other.to_str()?.strip_prefix(name)?;
        let metadata = entry.metadata().ok()?;
        let is_rotated = rest.starts_with(['.', '-']) && metadata.is_file();
        is_rotated.then(|| Some((metadata.modified().ok()?, entry.path())))?
    });
    let mut rotated: Vec<_> = rotated.collect();
    rotated.sort_unstable();
    for (_, newest) in rotated.iter().rev().take(MAX_ROTATED) {
        let opened = File::open(newest).map_err(AuditFileError::from);
        match opened.and_then(|file| read(&file, key, 0)) {
            Ok((content, _)) if content.head.is_some() => return content,
            Ok(_) => {}
            Err(error) => {
                let error = error.with_cause();
                tracing::warn!(path = ?newest, error, "cannot continue from a rotated audit file");
            }
        }
    }
    if !rotated.is_empty() {
        tracing::warn!(?path, "a new audit chain begins");
    }
    Content::default()
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Reads the file. Returns the length of its whole lines. Ignores lines that do not verify, and
/// copies of earlier lines.
fn read(file: &File, key: &AuditKey, after: u64) -> Result<(Content, u64), AuditFileError> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    reader.rewind()?;
    let (mut lines, mut content, mut length) = (Lines(reader), Content::default(), 0);
    let (mut previous, mut is_genuine, mut forged) = (None, true, 0_u64);
    while let Some((line, bytes)) = lines.next()? {
        let line = match line {
            Line::Torn => break,
            Line::TooLong => Vec::new(),
            Line::Whole(line) => line,
        };
        length += bytes;
        let sealed = chain::split(&line);
        is_genuine = sealed.as_ref().is_some_and(|sealed| {
            let previous = previous.or_else(|| previous_of(&line));
            let is_later = content.head.is_none_or(|head| head.seq < sealed.seq);
            is_later && previous.is_some_and(|previous| key.verifies(&previous, sealed))
        });
        // The next line follows this one, also if this one was changed.
        previous = sealed.as_ref().map(|sealed| sealed.mac).or(previous);
        match sealed {
            Some(sealed) if is_genuine => content.note(&line, sealed.head(), after),
            _ => forged += 1,
        }
    }
    if !is_genuine {
        return Err(AuditFileError::NotAnAuditFile);
    }
    if forged > 0 {
        tracing::error!(lines = forged, "the audit file was changed: verify it");
    }
    Ok((content, length))
}

/// Returns the code of the line before a start line.
pub(super) fn previous_of(line: &[u8]) -> Option<[u8; 32]> {
    let line: Value = serde_json::from_slice(line).ok()?;
    chain::parse_mac(line.get("previous")?.as_str()?)
}

impl Content {
    /// Adds a line that was verified.
    fn note(&mut self, line: &[u8], head: ChainHead, after: u64) {
        self.head = Some(head);
        if head.seq == after {
            self.at_after = Some(head);
        }
        let is_recent = head.seq > after;
        // Most lines need not be parsed.
        let has = |text: &str| str::from_utf8(line).is_ok_and(|line| line.contains(text));
        if !is_recent && !has("\"type\":\"intent\"") && !has("\"type\":\"outcome\"") {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let (Some(kind), Some(id)) = (text("type"), text("id").and_then(AuditId::parse)) else {
            return;
        };
        if is_recent {
            self.recent.insert((kind.to_owned(), id));
        }
        match kind {
            "intent" => _ = self.open.insert(id, line),
            "outcome" => _ = self.open.remove(&id),
            _ => {}
        }
    }
}
