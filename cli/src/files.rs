//! Files that are there whole or not at all.

use std::{fs::File, path::Path};

use tempfile::NamedTempFile;

use crate::outcome::{Exit, Failure};

/// A file in the same folder, of its owner only, that is removed unless it is put in place.
pub(crate) fn beside(file: &Path) -> Result<NamedTempFile, Failure> {
    let folder = folder_of(file);
    NamedTempFile::with_prefix_in(".credentials-", folder).map_err(|error| {
        let what = format!("cannot make a file in {}: {error}", folder.display());
        Failure::new(Exit::Problem, what)
    })
}

/// Makes the name of a file last.
pub(crate) fn sync_folder(file: &Path) -> Result<(), Failure> {
    Ok(File::open(folder_of(file))?.sync_all()?)
}

/// The folder that a file is in, or is to be in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
