//! Sealing exports with `age` (<https://age-encryption.org/v1>), with a passphrase or to public
//! keys. The command `age` opens them too.

use std::{
    error::Error,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use crate::report::{Exit, Failure};
use age::{
    DecryptError, Decryptor, Encryptor, Identity, IdentityFile, Recipient, scrypt,
    secrecy::SecretString, stream::StreamWriter, x25519,
};
use tower_credentials::secret_files::SecretFiles;

/// The first bytes of every sealed file.
const MAGIC: &[u8] = b"age-encryption.org/";

/// The largest scrypt work factor to accept, as a power of two: some seconds and a gigabyte. A
/// hostile file could request more.
const MAX_WORK: u8 = 22;

/// How an export is sealed.
pub(crate) enum Seal {
    Passphrase(SecretString),
    /// The export is not sealed.
    Plaintext,
    Recipients(Vec<x25519::Recipient>),
}

impl Seal {
    /// Returns a writer that seals.
    pub(crate) fn wrap<W: Write>(self, inner: W) -> io::Result<SealWriter<W>> {
        let encryptor = match self {
            Self::Passphrase(passphrase) => Encryptor::with_user_passphrase(passphrase),
            Self::Plaintext => return Ok(SealWriter::Plain(inner)),
            Self::Recipients(recipients) => {
                let recipients = recipients.iter().map(|recipient| recipient as &dyn Recipient);
                Encryptor::with_recipients(recipients).map_err(io::Error::other)?
            }
        };
        encryptor.wrap_output(inner).map(Box::new).map(SealWriter::Sealed)
    }
}

/// Writes an export, sealed or not.
pub(crate) enum SealWriter<W> {
    Plain(W),
    Sealed(Box<StreamWriter<W>>),
}

impl<W: Write> SealWriter<W> {
    /// Writes the last chunk. Without it, a sealed file is truncated.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(inner) => Ok(inner),
            Self::Sealed(writer) => writer.finish(),
        }
    }
}

impl<W: Write> Write for SealWriter<W> {
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

/// The key that opens an export.
pub(crate) enum Key {
    Identities(Vec<Box<dyn Identity + Send + Sync>>),
    Passphrase(SecretString),
    /// The export must not be sealed.
    Plaintext,
}

impl Key {
    /// Reads an identity file, which `age-keygen` wrote.
    pub(crate) fn from_file(path: &Path, files: SecretFiles) -> Result<Self, Failure> {
        let invalid = |error: &dyn Error| {
            let message = format!("cannot read the keys in {}: {error}", path.display());
            Failure::new(Exit::Usage, message)
        };
        let text = files.read(path).map_err(|error| Failure::of(Exit::Usage, &error))?;
        let file =
            IdentityFile::from_buffer(text.expose().as_bytes()).map_err(|error| invalid(&error))?;
        file.into_identities().map(Self::Identities).map_err(|error| invalid(&error))
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
            Self::Passphrase(text) => {
                let mut identity = scrypt::Identity::new(text.clone());
                identity.set_max_work_factor(MAX_WORK);
                passphrase = identity;
                vec![&passphrase]
            }
            Self::Plaintext if is_sealed => {
                let message = "the export is sealed: remove --plaintext";
                return Err(Failure::new(Exit::Usage, message));
            }
            Self::Plaintext => return Ok(Box::new(file)),
        };
        if !is_sealed {
            let message = "not a sealed export: --plaintext accepts exports that are not sealed";
            return Err(Failure::new(Exit::Unreadable, message));
        }
        let opened = Decryptor::new_buffered(file).map_err(|error| cannot_open(&error))?;
        let reader = opened.decrypt(identities.into_iter()).map_err(|error| cannot_open(&error))?;
        Ok(Box::new(BufReader::with_capacity(1 << 16, reader)))
    }
}

/// Determines from the first bytes of an export how it is sealed.
pub(crate) fn seal_kind(start: &[u8]) -> SealKind {
    if !start.starts_with(MAGIC) {
        return SealKind::None;
    }
    match start.split(|byte| *byte == b'\n').nth(1) {
        Some(line) if line.starts_with(b"-> scrypt ") => SealKind::Passphrase,
        _ => SealKind::Keys,
    }
}

/// How an export is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealKind {
    Keys,
    None,
    Passphrase,
}

fn cannot_open(error: &DecryptError) -> Failure {
    let message = match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            "wrong passphrase, or the export was altered".into()
        }
        DecryptError::NoMatchingKeys => {
            "the export is not sealed to a key in the identity file".into()
        }
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the export is truncated".into()
        }
        error => format!("the export cannot be opened: {error}"),
    };
    Failure::new(Exit::Unreadable, message)
}

/// A reader that reports the number of bytes of each read.
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
