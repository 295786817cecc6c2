//! Where the file is, and whether what lies there still is what was opened.
//!
//! A file can be removed or replaced under its path while it is open. The engine
//! goes on with what it has: it would acknowledge writes that nobody finds again,
//! and serve what is no longer stored. So each use of a connection compares.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

use super::connection::{open_reader, open_writer};
use super::error::open_failed;
use super::schema;
use crate::backend::{OpenError, OpenErrorKind};

/// The path of the file, and what was last opened there.
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// Held while a connection is opened: only one thread at a time may tidy up.
    known: Mutex<Known>,
}

/// What lies at a path, by the numbers of its device and of itself.
///
/// A number is not given to another file as long as this one is open.
type Identity = (u64, u64);

/// The file that was last opened, and what the engine keeps next to it.
#[derive(Default)]
struct Known {
    file: Option<Identity>,
    log: Option<Identity>,
    index: Option<Identity>,
    openings: u64,
}

/// A connection, and what it was opened on.
pub(super) struct Opened {
    pub(super) connection: Connection,
    file: Identity,
    log: Option<Identity>,
    /// Which of the connections for writing this is, counted from 1; 0 for reading.
    pub(super) opening: u64,
}

impl DatabaseFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file and its write-ahead log, if the file can be read.
    pub(super) fn disk_bytes(&self) -> Option<u64> {
        let size = |path: &Path| fs::metadata(path).map(|file| file.len());
        Some(size(&self.path).ok()? + size(&self.beside("-wal")).unwrap_or_default())
    }

    /// Opens the file for writing and brings it to the current schema; an empty file
    /// becomes a store.
    pub(super) fn first_writer(&self) -> Result<Opened, OpenError> {
        self.open_writer(&mut self.known(), schema::prepare)
    }

    /// A sound connection for writing: this one, or a new one if the file is another.
    ///
    /// One to a file that is gone is kept: the file may come back, and until then no
    /// other can be mistaken for it.
    pub(super) fn writer<'a>(
        &self,
        writer: &'a mut Option<Opened>,
    ) -> Result<&'a mut Opened, OpenError> {
        if let Some(opened) = writer.as_ref() {
            if self.file()? == opened.file {
                self.check(opened)?;
            } else {
                // If the old file lives on under another name, it has all that was
                // acknowledged: its log stays behind.
                opened.checkpoint();
                *writer = None;
            }
        }
        match writer {
            Some(opened) => Ok(opened),
            None => Ok(writer.insert(self.open_writer(&mut self.known(), schema::renew)?)),
        }
    }

    /// Whether what this connection wrote is where it will be looked for.
    pub(super) fn check(&self, writer: &Opened) -> Result<(), OpenError> {
        if self.file()? != writer.file {
            return Err(self.moved("was replaced while it was written"));
        }
        if identity(&self.beside("-wal")).ok() != writer.log {
            // The file at least has all that was acknowledged before.
            writer.checkpoint();
            return Err(self.moved("has lost its write-ahead log"));
        }
        Ok(())
    }

    /// Whether a connection reads what is in the file now.
    pub(super) fn is_current(&self, reader: &Opened) -> bool {
        identity(&self.path).is_ok_and(|file| file == reader.file)
    }

    /// A connection for reading what is in the file now: one of these, of which those
    /// to another file are closed, or a new one.
    pub(super) fn reader(
        &self,
        mut idle: impl FnMut() -> Option<Opened>,
    ) -> Result<Opened, OpenError> {
        let file = self.file()?;
        while let Some(opened) = idle() {
            if opened.file == file {
                return Ok(opened);
            }
        }
        self.open_reader()
    }

    fn open_reader(&self) -> Result<Opened, OpenError> {
        let mut known = self.known();
        // A file that is new here may need what only a writer can do.
        let renewed = match known.file {
            Some(file) if file == self.file()? => None,
            _ => Some(self.open_writer(&mut known, schema::renew)?),
        };
        let mut connection = open_reader(&self.path).map_err(|error| self.engine(error))?;
        schema::check(&mut connection, &self.path)?;
        let file = self.file()?;
        if known.file != Some(file) {
            return Err(self.moved("was replaced while it was opened"));
        }
        drop(renewed);
        Ok(Opened { connection, file, log: None, opening: 0 })
    }

    fn open_writer(
        &self,
        known: &mut Known,
        prepare: fn(&mut Connection, &Path) -> Result<(), OpenError>,
    ) -> Result<Opened, OpenError> {
        let file = self.file()?;
        if known.file.is_some_and(|known| known != file) {
            self.discard_log(known).map_err(|error| {
                let what = format!(
                    "cannot remove the files of the previous store at {}",
                    self.path.display()
                );
                OpenError::new(OpenErrorKind::Unavailable, what).with_source(error)
            })?;
        }
        let mut connection = open_writer(&self.path).map_err(|error| self.engine(error))?;
        prepare(&mut connection, &self.path)?;
        if self.file()? != file {
            return Err(self.moved("was replaced while it was opened"));
        }
        if known.file.is_some_and(|known| known != file) {
            tracing::warn!(path = %self.path.display(), "the credential store was replaced");
        }
        let log = identity(&self.beside("-wal")).ok();
        let index = identity(&self.beside("-shm")).ok();
        let opening = known.openings + 1;
        *known = Known { file: Some(file), log, index, openings: opening };
        Ok(Opened { connection, file, log, opening })
    }

    /// Removes what the engine kept next to a file that was replaced, for it would take
    /// that for the new file's: replay the old one's log into it.
    ///
    /// What came with the new file is another and stays.
    fn discard_log(&self, known: &Known) -> io::Result<()> {
        let (log, index) = (self.beside("-wal"), self.beside("-shm"));
        // Another process may be about to do the same, and then to make new ones.
        let lock = File::open(&log).ok();
        lock.as_ref().map_or(Ok(()), File::lock)?;
        for (path, known) in [(index, known.index), (log, known.log)] {
            if known.is_some() && identity(&path).ok() == known {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn file(&self) -> Result<Identity, OpenError> {
        identity(&self.path).map_err(|error| {
            let what = format!("{} does not exist", self.path.display());
            OpenError::new(OpenErrorKind::Unavailable, what).with_source(error)
        })
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    fn moved(&self, how: &str) -> OpenError {
        OpenError::new(OpenErrorKind::Unavailable, format!("{} {how}", self.path.display()))
    }

    fn engine(&self, error: rusqlite::Error) -> OpenError {
        open_failed(&self.path, error)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Whatever panics while it is held leaves it whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    /// Brings what is in the log into the file, as far as others let it.
    fn checkpoint(&self) {
        let done = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = done {
            tracing::warn!(%error, "a replaced credential store may lack its latest writes");
        }
    }
}

/// Follows links, as the engine does.
#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;

    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Files that are open can be neither removed nor replaced here.
#[cfg(not(unix))]
fn identity(_: &Path) -> io::Result<Identity> {
    Ok((0, 0))
}
