//! Opening a credential file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::backend::{OpenError, OpenErrorKind, OpenMode};

use super::backend::SqliteBackend;
use super::connection::create_file;
use super::file::DatabaseFile;

impl SqliteBackend {
    /// Opens a credential file and brings it to the current schema. Creates the file if it
    /// does not exist, in an existing folder.
    ///
    /// The same as `SqliteBackend::builder(path).build()`.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteBuilder::build`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).build()
    }

    /// Starts to open a credential file.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder { path: path.as_ref().into(), mode: OpenMode::default() }
    }
}

/// Opens an [`SqliteBackend`]. Every setting replaces an earlier value.
#[derive(Clone, Debug)]
#[must_use = "a builder opens nothing until `build` is called"]
pub struct SqliteBuilder {
    path: PathBuf,
    mode: OpenMode,
}

impl SqliteBuilder {
    /// Sets whether the file must exist.
    ///
    /// Default: [`OpenMode::Create`].
    pub fn mode(mut self, mode: OpenMode) -> Self {
        self.mode = mode;
        self
    }

    /// Opens the file and brings it to the current schema.
    ///
    /// Blocks while it reads and writes the file, and for some seconds if another process has
    /// the file locked: call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose [`kind`](OpenError::kind) distinguishes a missing folder from
    /// another application's file and from the file of a later release. A file that is not a
    /// credential file is not changed.
    pub fn build(self) -> Result<SqliteBackend, OpenError> {
        let Self { path, mode } = self;
        // Absolute, so that it always names the same file, and so that the engine does not
        // treat it as a special name, such as `file:...` or `:memory:`.
        let absolute = std::path::absolute(&path).map_err(|error| {
            let what = format!("cannot resolve the path {}", path.display());
            OpenError::new(OpenErrorKind::Unavailable, what).with_source(error)
        })?;
        if mode != OpenMode::Create {
            check_existence(&path, mode)?;
        }
        create_file(&absolute)?;
        let file = Arc::new(DatabaseFile::new(absolute));
        let opened = file.first_writer()?;
        SqliteBackend::new(file, opened)
    }
}

fn check_existence(path: &Path, mode: OpenMode) -> Result<(), OpenError> {
    let exists = path.try_exists().map_err(|error| {
        let what = format!("cannot look for {}", path.display());
        OpenError::new(OpenErrorKind::Unavailable, what).with_source(error)
    })?;
    let path = path.display();
    match mode {
        OpenMode::CreateNew if exists => {
            Err(OpenError::new(OpenErrorKind::AlreadyExists, format!("{path} already exists")))
        }
        OpenMode::Existing if !exists => {
            Err(OpenError::new(OpenErrorKind::NotFound, format!("{path} does not exist")))
        }
        _ => Ok(()),
    }
}
