//! The path of the file, and whether the file there is still the one that was opened.
//!
//! A file can be removed or replaced under its path while it is open. The engine continues
//! with the open file: it would acknowledge writes that are lost, and return records that are
//! no longer stored. So each use of a connection compares the two.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rusqlite::Connection;

use super::connection::{checkpoint, open_reader, open_writer};
use super::error::open_failed;
use super::schema;
use crate::backend::{OpenError, OpenErrorKind};

/// The path of the file, and the file that was last opened there.
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// Locked while a connection is opened: only one thread at a time may clean up.
    known: Mutex<Known>,
}

/// How often, and at which interval, to try to copy the log of a replaced file.
const COPY_ATTEMPTS: u32 = 100;
const COPY_PAUSE: Duration = Duration::from_millis(10);

/// The file at a path: its device and inode numbers.
///
/// The numbers are not reused as long as the file is open.
type Identity = (u64, u64);

/// The file that was last opened, and the files that the engine keeps next to it.
#[derive(Default)]
struct Known {
    file: Option<Identity>,
    log: Option<Identity>,
    index: Option<Identity>,
    openings: u64,
}

/// A connection, and the file that it was opened on.
pub(super) struct Opened {
    pub(super) connection: Connection,
    file: Identity,
    log: Option<Identity>,
    /// The number of this connection for writing, counted from 1; 0 for reading.
    pub(super) opening: u64,
}

impl DatabaseFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the size of the file and its write-ahead log, if the file can be read.
    pub(super) fn disk_bytes(&self) -> Option<u64> {
        let size = |path: &Path| fs::metadata(path).map(|file| file.len());
        Some(size(&self.path).ok()? + size(&self.beside("-wal")).unwrap_or_default())
    }

    /// Opens the file for writing and brings it to the current schema; an empty file becomes a
    /// store.
    pub(super) fn first_writer(&self) -> Result<Opened, OpenError> {
        self.open_writer(&mut self.known(), schema::prepare)
    }

    /// Returns a connection for writing: this one, or a new one if the file was replaced.
    ///
    /// Keeps a connection to a file that is gone: the file may come back, and until then no
    /// other file can have its numbers.
    pub(super) fn writer<'a>(
        &self,
        writer: &'a mut Option<Opened>,
    ) -> Result<&'a mut Opened, OpenError> {
        if let Some(opened) = writer.as_ref() {
            if self.file()? == opened.file {
                self.check(opened)?;
            } else {
                // If the old file still exists under another name, it gets all acknowledged
                // writes: its log stays behind.
                opened.checkpoint();
                *writer = None;
            }
        }
        match writer {
            Some(opened) => Ok(opened),
            None => Ok(writer.insert(self.open_writer(&mut self.known(), schema::renew)?)),
        }
    }

    /// Checks that the writes of this connection are in the file at the path.
    pub(super) fn check(&self, writer: &Opened) -> Result<(), OpenError> {
        if self.file()? != writer.file {
            return Err(self.moved("was replaced while it was being written"));
        }
        if identity(&self.beside("-wal")).ok() != writer.log {
            // The file itself has all earlier acknowledged writes.
            writer.checkpoint();
            return Err(self.moved("has lost its write-ahead log"));
        }
        Ok(())
    }

    /// Returns whether a connection reads the file that is at the path now.
    pub(super) fn is_current(&self, reader: &Opened) -> bool {
        identity(&self.path).is_ok_and(|file| file == reader.file)
    }

    /// Returns a connection for reading the current file: one of these, or a new one. Closes
    /// those to other files.
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
        // A new file may need work that only a writer can do.
        let renewed = match known.file {
            Some(file) if file == self.file()? => None,
            _ => Some(self.open_writer(&mut known, schema::renew)?),
        };
        let mut connection = open_reader(&self.path).map_err(|error| self.engine(error))?;
        schema::check(&mut connection, &self.path)?;
        let file = self.file()?;
        if known.file != Some(file) {
            return Err(self.moved("was replaced while it was being opened"));
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
            return Err(self.moved("was replaced while it was being opened"));
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

    /// Removes the engine's files of a replaced file. The engine would take them for the new
    /// file's and replay the old log into it.
    ///
    /// Files that came with the new file have other numbers and stay.
    fn discard_log(&self, known: &Known) -> io::Result<()> {
        let (log, index) = (self.beside("-wal"), self.beside("-shm"));
        // Another process may be about to do the same, and then to create new ones.
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
        // No panic while it is locked leaves it inconsistent.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    /// Copies the log into the file, as far as other processes permit it.
    fn checkpoint(&self) {
        for _ in 0..COPY_ATTEMPTS {
            match checkpoint(&self.connection, "PASSIVE") {
                Ok(Some(_)) => return,
                // Another connection copies the log, but perhaps not the latest writes.
                Ok(None) => thread::sleep(COPY_PAUSE),
                Err(error) => {
                    tracing::warn!(%error, "a replaced credential store may lack its latest writes");
                    return;
                }
            }
        }
        tracing::warn!("a replaced credential store may lack its latest writes");
    }
}

/// Follows links, as the engine does.
#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;

    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// On this platform, open files can be neither removed nor replaced.
#[cfg(not(unix))]
fn identity(_: &Path) -> io::Result<Identity> {
    Ok((0, 0))
}
