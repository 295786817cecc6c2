//! Sealing exports with `age` (<https://age-encryption.org/v1>), to a passphrase or to
//! public keys; its own command line opens them too.

use std::{
    error::Error,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use crate::outcome::{Exit, Failure};
use age::{
    DecryptError, Decryptor, Encryptor, Identity, IdentityFile, Recipient, scrypt,
    secrecy::SecretString, stream::StreamWriter, x25519,
};
use tower_credentials::secret_files::SecretFiles;

/// How every sealed file starts.
const MAGIC: &[u8] = b"age-encryption.org/";

/// The most work to take upon oneself for a passphrase, as a power of two: some
/// seconds and a gigabyte. More is asked by who wants to do harm.
const MAX_WORK: u8 = 22;

/// How an export is sealed.
pub(crate) enum Seal {
    Passphrase(SecretString),
    /// It is not.
    Plaintext,
    Recipients(Vec<x25519::Recipient>),
}

impl Seal {
    /// What is written to the result is sealed.
    pub(crate) fn wrap<W: Write>(self, inner: W) -> io::Result<Sealing<W>> {
        let encryptor = match self {
            Self::Passphrase(passphrase) => Encryptor::with_user_passphrase(passphrase),
            Self::Plaintext => return Ok(Sealing::Plain(inner)),
            Self::Recipients(recipients) => {
                let recipients = recipients.iter().map(|recipient| recipient as &dyn Recipient);
                Encryptor::with_recipients(recipients).map_err(io::Error::other)?
            }
        };
        encryptor.wrap_output(inner).map(Box::new).map(Sealing::Sealed)
    }
}

/// On the way to a file.
pub(crate) enum Sealing<W> {
    Plain(W),
    Sealed(Box<StreamWriter<W>>),
}

impl<W: Write> Sealing<W> {
    /// Writes what is left; without it a sealed file counts as cut short.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(inner) => Ok(inner),
            Self::Sealed(writer) => writer.finish(),
        }
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.write(bytes),
            Self::Sealed(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(inner) => inner.flush(),
            Self::Sealed(writer) => writer.flush(),
        }
    }
}

/// What opens an export.
pub(crate) enum Key {
    Identities(Vec<Box<dyn Identity + Send + Sync>>),
    /// Only what is not sealed.
    None,
    Passphrase(SecretString),
}

impl Key {
    /// Reads a file of identities, as `age-keygen` writes it.
    pub(crate) fn from_file(path: &Path, files: SecretFiles) -> Result<Self, Failure> {
        let unusable = |error: &dyn Error| {
            let what = format!("cannot read the keys in {}: {error}", path.display());
            Failure::new(Exit::Usage, what)
        };
        let text = files.read(path).map_err(|error| Failure::of(Exit::Usage, &error))?;
        let file = IdentityFile::from_buffer(text.expose().as_bytes())
            .map_err(|error| unusable(&error))?;
        file.into_identities().map(Self::Identities).map_err(|error| unusable(&error))
    }

    /// Opens an export, sealed or not.
    pub(crate) fn open<R: BufRead + Send + 'static>(
        &self,
        mut file: R,
    ) -> Result<Box<dyn BufRead + Send>, Failure> {
        let is_sealed = file.fill_buf()?.starts_with(MAGIC);
        let passphrase;
        let identities: Vec<&dyn Identity> = match self {
            Self::Identities(identities) => {
                identities.iter().map(|identity| &**identity as _).collect()
            }
            Self::None if is_sealed => {
                return Err(Failure::new(Exit::Usage, "the export is sealed, and not plain text"));
            }
            Self::None => return Ok(Box::new(file)),
            Self::Passphrase(text) => {
                let mut identity = scrypt::Identity::new(text.clone());
                identity.set_max_work_factor(MAX_WORK);
                passphrase = identity;
                vec![&passphrase]
            }
        };
        if !is_sealed {
            let what = "the export is not sealed: anybody may have changed it, or it is none";
            return Err(Failure::new(Exit::Unreadable, what));
        }
        let opened = Decryptor::new_buffered(file).map_err(|error| unopened(&error))?;
        let reader = opened.decrypt(identities.into_iter()).map_err(|error| unopened(&error))?;
        Ok(Box::new(BufReader::with_capacity(1 << 16, reader)))
    }
}

/// How an export that starts like this is sealed.
pub(crate) fn seal_of(start: &[u8]) -> SealOf {
    if !start.starts_with(MAGIC) {
        return SealOf::Nothing;
    }
    match start.split(|byte| *byte == b'\n').nth(1) {
        Some(line) if line.starts_with(b"-> scrypt ") => SealOf::Passphrase,
        _ => SealOf::Keys,
    }
}

/// What opens an export, as far as can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealOf {
    Keys,
    Nothing,
    Passphrase,
}

fn unopened(error: &DecryptError) -> Failure {
    let what = match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            "the export is sealed with another passphrase, or was changed".into()
        }
        DecryptError::NoMatchingKeys => "the export is not sealed to this key".into(),
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the export is cut short".into()
        }
        error => format!("the export cannot be opened: {error}"),
    };
    Failure::new(Exit::Unreadable, what)
}

/// Counts what is read.
pub(crate) struct Counting<R, F> {
    pub(crate) inner: R,
    pub(crate) count: F,
}

impl<R: Read, F: FnMut(usize)> Read for Counting<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.count)(read);
        Ok(read)
    }
}
