//! Files that hold secrets.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use clap::Args;
use zeroize::Zeroizing;

use super::redacted;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// How much room to reserve for a text of unknown length, such as that of a pipe.
const ROOM: u64 = 64 << 10;

/// The permissions of the group and of others.
const OF_OTHERS: u32 = 0o077;

/// How to read files that hold secrets.
#[derive(Clone, Copy, Debug, Args)]
pub struct SecretFiles {
    /// Accept files with secrets that other users can read or write.
    ///
    /// Without this, a file with a password, a passphrase, tokens or keys is refused unless it belongs
    /// to the user of this process or to root, and its group and others have no permissions.
    #[arg(long, global = true)]
    accept_open_files: bool,
}

/// Who may own a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Any,
    /// The user of this process, or root.
    Own,
}

impl SecretFiles {
    /// Reads the text of a file that other users can neither read nor write.
    ///
    /// The file is checked once it is open, whatever its path means a moment later. Pipes are checked
    /// too; the pipe that a shell makes for `<(command)` belongs to its user alone. Terminals and other
    /// character devices are not checked, since they keep nothing.
    ///
    /// # Errors
    ///
    /// Why the file is refused and how to change that, or why it cannot be read. Its text is not
    /// repeated.
    pub fn read(self, path: &Path) -> Result<Zeroizing<String>, String> {
        self.read_of(path, Owner::Own)
    }

    /// The same for a file that is left to its owner, whoever that is.
    pub fn read_of_any_owner(self, path: &Path) -> Result<Zeroizing<String>, String> {
        self.read_of(path, Owner::Any)
    }

    fn read_of(self, path: &Path, owner: Owner) -> Result<Zeroizing<String>, String> {
        // Perhaps a URL by mistake.
        let name = redacted(&path.display().to_string());
        let unreadable = |error: io::Error| format!("cannot read {name}: {error}");
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        if let Some(why) = why_open(&found, owner, &name) {
            if !self.accept_open_files {
                return Err(format!("{why}; --accept-open-files accepts the file as it is"));
            }
            tracing::warn!("{why}");
        }
        // Room for all of it at once: a text that grew would leave copies behind.
        let room = if found.is_file() { found.len().min(LARGEST) + 1 } else { ROOM };
        let room = usize::try_from(room).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(room));
        file.take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
        match text.len() as u64 {
            0 => Err(format!("{name} is empty")),
            1..=LARGEST => Ok(text),
            _ => Err(format!("{name} is larger than {} MiB", LARGEST >> 20)),
        }
    }
}

/// Why a file is not its owner's alone, and the command that changes that.
fn why_open(found: &Metadata, owner: Owner, name: &str) -> Option<String> {
    if found.file_type().is_char_device() {
        return None;
    }
    let mode = found.mode() & 0o7777;
    if mode & OF_OTHERS != 0 {
        return Some(format!(
            "{name} can be read or written by others than its owner (mode {mode:04o}): run \
             `chmod 600 {}`, and change the secret if others may have read it",
            quoted(name)
        ));
    }
    let own = rustix::process::geteuid().as_raw();
    if owner == Owner::Own && ![0, own].contains(&found.uid()) {
        return Some(format!(
            "{name} belongs to another user (uid {}), who can read and write it: run \
             `chown {own} {}`",
            found.uid(),
            quoted(name)
        ));
    }
    None
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte);
    if path.bytes().all(is_plain) && !path.starts_with('-') {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}
