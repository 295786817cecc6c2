//! Files with secrets.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Modes with which other users can read or write a file.
pub const OPEN: [u32; 3] = [0o644, 0o640, 0o620];

/// Writes a file that only its owner can read and write.
pub fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    fs::write(&path, text).unwrap();
    set_mode(path, 0o600);
}

pub fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
