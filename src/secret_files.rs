//! Reads files that contain secrets: passwords, passphrases, tokens, keys.
//!
//! Use it in programs whose secrets are in files, to reject files that other users can access.
//! Start with [`SecretFiles::new`], and read a file with [`SecretFiles::read`].

use std::{
    error::Error as StdError,
    fmt,
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

use crate::domain::SecretText;
use crate::log::redact_url;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// The buffer for a text of unknown length, such as that of a pipe.
const PIPE_BUFFER: u64 = 64 << 10;

/// Reads files that contain secrets, and rejects those that other users can access.
///
/// A file is checked after it was opened, so that the checked file is the one that is read.
/// Pipes are checked too. Terminals and other character devices are not: they store nothing.
/// On systems other than Unix no file is checked.
///
/// # Example
///
/// ```no_run
/// use tower_credentials::secret_files::SecretFiles;
///
/// let password = SecretFiles::new().read("/etc/my-service/password".as_ref())?;
/// let password = password.expose().trim_end();
/// # Ok::<_, tower_credentials::secret_files::SecretFileError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct SecretFiles {
    accept_exposed: bool,
    hint: Option<&'static str>,
}

/// The users that may own a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Any,
    /// The user of this process, or root.
    Own,
}

impl SecretFiles {
    /// Rejects files that other users can read or write.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to accept a file that other users can read or write, with a warning in
    /// the log.
    ///
    /// Default: `false`.
    pub fn accept_exposed(mut self, accept: bool) -> Self {
        self.accept_exposed = accept;
        self
    }

    /// Adds a text to the error for a file that other users can access, such as the option
    /// of a program that accepts it.
    ///
    /// Default: none.
    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Reads the text of a file that belongs to the user of this process or to root, and
    /// that its group and others can neither read nor write.
    ///
    /// Blocks while it reads.
    ///
    /// # Errors
    ///
    /// [`SecretFileError`] if other users can access the file, if it cannot be read, or if it
    /// is empty or larger than 16 MiB. The error never contains the text.
    pub fn read(self, path: &Path) -> Result<SecretText, SecretFileError> {
        self.read_of(path, Owner::Own)
    }

    /// Reads the text of a file as [`read`](Self::read) does, but accepts every owner of the file.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn read_any_owner(self, path: &Path) -> Result<SecretText, SecretFileError> {
        self.read_of(path, Owner::Any)
    }

    fn read_of(self, path: &Path, owner: Owner) -> Result<SecretText, SecretFileError> {
        // A URL given by mistake may contain a password.
        let name = redact_url(&path.display().to_string());
        let unreadable = |error: io::Error| {
            let message = format!("cannot read {name}");
            SecretFileError { message, is_exposed: false, source: Some(error) }
        };
        let rejected = |message, is_exposed| SecretFileError { message, is_exposed, source: None };
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        if let Some(mut why) = why_exposed(&found, owner, &name) {
            if !self.accept_exposed {
                if let Some(hint) = self.hint {
                    why = format!("{why}; {hint}");
                }
                return Err(rejected(why, true));
            }
            tracing::warn!("{why}");
        }
        // Reserved at once: a text that grows leaves copies behind.
        let room = if found.is_file() { found.len().min(MAX_BYTES) + 1 } else { PIPE_BUFFER };
        let room = usize::try_from(room).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(room));
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        match text.len() as u64 {
            0 => Err(rejected(format!("{name} is empty"), false)),
            1..=MAX_BYTES => Ok(SecretText::new(std::mem::take(&mut *text))),
            _ => Err(rejected(format!("{name} is larger than {} MiB", MAX_BYTES >> 20), false)),
        }
    }
}

/// Why other users can access a file, and the command that changes that.
#[cfg(unix)]
fn why_exposed(found: &Metadata, owner: Owner, name: &str) -> Option<String> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    const GROUP_AND_OTHERS: u32 = 0o077;

    if found.file_type().is_char_device() {
        return None;
    }
    let mode = found.mode() & 0o7777;
    if mode & GROUP_AND_OTHERS != 0 {
        return Some(format!(
            "{name} can be read or written by users other than its owner (mode {mode:04o}): run \
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

#[cfg(not(unix))]
fn why_exposed(_: &Metadata, _: Owner, _: &str) -> Option<String> {
    None
}

/// A path as a shell reads it.
#[cfg(unix)]
fn quoted(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte);
    if path.bytes().all(is_plain) && !path.starts_with('-') {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// Why a file with a secret was not read. Never contains its text.
#[derive(Debug)]
pub struct SecretFileError {
    message: String,
    is_exposed: bool,
    source: Option<io::Error>,
}

impl SecretFileError {
    /// Returns `true` if the file was rejected because other users can access it.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.is_exposed
    }

    /// The message and the source, for an error of a module that reads such files.
    #[cfg(any(feature = "encryption", feature = "etcd", feature = "postgres", feature = "sqlite"))]
    pub(crate) fn into_parts(self) -> (String, Option<Box<dyn StdError + Send + Sync>>) {
        (self.message, self.source.map(Into::into))
    }
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for SecretFileError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
