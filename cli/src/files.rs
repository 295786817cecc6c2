//! Writing files so that each is complete or does not exist, and reading short ones.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
};

use tempfile::{NamedTempFile, PersistError};

use crate::report::{Exit, Failure};

/// More than the largest boundary or policy, in bytes.
const MAX_TEXT: u64 = 1 << 16;

/// Reads a short text from a file, or from stdin if its name is `-`. `what` is for error messages.
pub(crate) fn read_text(what: &str, file: &str) -> Result<String, Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format!("cannot read the {what} {file}: {error}"))
    };
    let input: Box<dyn Read> = if file == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| cannot(&error))?)
    };
    let mut text = String::new();
    input.take(MAX_TEXT).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    Ok(text.trim().to_owned())
}

/// Creates a temporary file in the same folder, which only its owner can read. Dropping it
/// removes the file.
pub(crate) fn create_beside(file: &Path) -> Result<NamedTempFile, Failure> {
    let folder = folder_of(file);
    NamedTempFile::with_prefix_in(".credentials-", folder).map_err(|error| {
        let message = format!("cannot create a file in {}: {error}", folder.display());
        Failure::new(Exit::Problem, message)
    })
}

/// Flushes a temporary file and gives it its name; fails if a file of that name exists.
pub(crate) fn persist_new(new: NamedTempFile, file: &Path) -> Result<(), Failure> {
    new.as_file().sync_all()?;
    new.persist_noclobber(file).map_err(|PersistError { error, .. }| match error.kind() {
        io::ErrorKind::AlreadyExists => already_exists(file),
        _ => Failure::from(error),
    })?;
    sync_folder(file)
}

pub(crate) fn already_exists(file: &Path) -> Failure {
    Failure::new(Exit::Conflict, format!("{} already exists", file.display()))
}

/// Replaces a file, or creates it. A file that is replaced keeps its owner.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let mut new = create_beside(file)?;
    new.write_all(text.as_bytes())?;
    keep_owner(file, new.path())?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| Failure::from(error.error))?;
    sync_folder(file)
}

/// Gives the new file the owner of the old one, if there is an old one: a server may have to
/// read it.
fn keep_owner(old: &Path, new: &Path) -> Result<(), Failure> {
    let Ok(kept) = fs::metadata(old) else { return Ok(()) };
    let created = fs::metadata(new)?;
    if (kept.uid(), kept.gid()) == (created.uid(), created.gid()) {
        return Ok(());
    }
    chown(new, Some(kept.uid()), Some(kept.gid())).map_err(|error| {
        let message = format!("cannot keep the owner of {}: {error}", old.display());
        Failure::new(Exit::Problem, message)
    })
}

/// Flushes a file's name to the disk.
fn sync_folder(file: &Path) -> Result<(), Failure> {
    Ok(File::open(folder_of(file))?.sync_all()?)
}

/// The folder that contains a file.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
