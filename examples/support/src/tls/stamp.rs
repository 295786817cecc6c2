//! Finds out whether files have changed.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::pair::MAX_BYTES;

/// The contents and permissions of a certificate and its key, as hashes. `None` for a file that
/// cannot be read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stamp([Option<[u8; 32]>; 2]);

impl Stamp {
    pub(super) fn of(cert: &Path, key: &Path) -> Self {
        Self([cert, key].map(|path| hash(path).ok().flatten()))
    }
}

/// `None` for a pipe, which cannot be read twice.
fn hash(path: &Path) -> io::Result<Option<[u8; 32]>> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    let found = file.metadata()?;
    let mut hash = Sha256::new();
    hash.update(found.mode().to_be_bytes());
    hash.update(found.uid().to_be_bytes());
    let (mut file, mut buffer) = (file.take(MAX_BYTES), [0; 4096]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Some(hash.finalize().into())),
            length => hash.update(&buffer[..length]),
        }
    }
}
