//! The keys that secrets are sealed with.

use std::{fmt, path::Path};

use async_trait::async_trait;
use data_encoding::BASE64;
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use super::error::{KeyError, KeyErrorKind};
use crate::domain::SecretText;
use crate::secret_files::SecretFiles;

/// Longest id of a key, in bytes.
const MAX_ID: usize = 32;

/// The keys that secrets are sealed with: the last one seals, any of them opens.
///
/// A key has an id, 1 to 32 ASCII letters, digits, `-` and `_`, and 32 random bytes. Every
/// sealed text contains the id of its key, so the id of a key never changes.
///
/// As text, a ring has one line for each key, the newest one last. Empty lines and lines that
/// start with `#` are skipped:
///
/// ```text
/// # id = 32 bytes in base64
/// 2025 = ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8=
/// 2026 = /ty6mHZUMhD+3LqYdlQyEP7cuph2VDIQ/ty6mHZUMhA=
/// ```
#[derive(Clone)]
pub struct KeyRing {
    /// Not empty.
    keys: Vec<RingKey>,
}

/// One key of a ring.
#[derive(Clone)]
pub(super) struct RingKey {
    pub(super) id: String,
    pub(super) bytes: Zeroizing<[u8; 32]>,
}

impl KeyRing {
    /// Creates a ring of one key.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Invalid`] if the id is not valid.
    pub fn new(id: impl Into<String>, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Self { keys: Vec::new() }.with_newest(id, bytes)
    }

    /// Reads a ring from its text, in the form above. A `;` also ends a line.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Invalid`] if the text has no key, a line that is not a key, or an id
    /// twice. The error names the line and does not repeat it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut ring = Self { keys: Vec::new() };
        for (index, line) in text.split(['\n', ';']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, bytes) = key_of(line).ok_or_else(|| {
                let what = format!("line {} is not a key: `id = 32 bytes in base64`", index + 1);
                KeyError::new(KeyErrorKind::Invalid, what)
            })?;
            ring = ring.with_newest(id, &bytes)?;
        }
        if ring.keys.is_empty() {
            return Err(KeyError::new(KeyErrorKind::Invalid, "the key ring has no key"));
        }
        Ok(ring)
    }

    /// Reads a ring from a file that only its owner may read.
    ///
    /// Blocks while it reads.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Exposed`] if the group or others may read or write the file, where the
    /// system has such permissions; [`KeyErrorKind::Inaccessible`] if the file cannot be read;
    /// those of [`parse`](Self::parse).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        Self::parse(read_private(path)?.expose()).map_err(|error| error.within(&path.display()))
    }

    /// Reads a ring from an environment variable, where `;` may end its lines.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Inaccessible`] if the variable is not set or is not valid UTF-8; those of
    /// [`parse`](Self::parse).
    pub fn from_env(name: &str) -> Result<Self, KeyError> {
        // Without the error itself, which repeats a value that is not Unicode.
        let text = std::env::var(name).map(Zeroizing::new).map_err(|_| {
            let what = format!("the environment variable {name} is not set or is not valid UTF-8");
            KeyError::new(KeyErrorKind::Inaccessible, what)
        })?;
        Self::parse(&text).map_err(|error| error.within(&name))
    }

    /// Reads the ring that a command line or a configuration names: `env:NAME` for an
    /// environment variable, or the path of a file.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env) and [`from_file`](Self::from_file), but `files` says
    /// which files are accepted.
    pub fn resolve(name: &str, files: SecretFiles) -> Result<Self, KeyError> {
        if let Some(variable) = name.strip_prefix("env:") {
            return Self::from_env(variable);
        }
        let text = files.read(name.as_ref()).map_err(KeyError::from_file)?;
        Self::parse(text.expose()).map_err(|error| error.within(&name))
    }

    /// Generates a new key: a line for the text of a ring.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Invalid`] if the id is not valid; [`KeyErrorKind::Unavailable`] if the
    /// operating system does not provide randomness.
    pub fn generate_key(id: &str) -> Result<SecretText, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *bytes).map_err(|error| {
            KeyError::unavailable("the operating system does not provide randomness", error)
        })?;
        Self::new(id, &bytes)?;
        let encoded = Zeroizing::new(BASE64.encode(&*bytes));
        Ok(SecretText::new(format!("{id} = {}", *encoded)))
    }

    /// Adds a key, which becomes the newest.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Invalid`] if the id is not valid, or already in the ring.
    pub fn with_newest(
        mut self,
        id: impl Into<String>,
        bytes: &[u8; 32],
    ) -> Result<Self, KeyError> {
        let id = id.into();
        if !is_key_id(&id) {
            let what = "the id of a key is not 1 to 32 letters, digits, `-` and `_`";
            return Err(KeyError::new(KeyErrorKind::Invalid, what));
        }
        if self.ids().any(|known| known == id) {
            let what = format!("the key {id:?} is in the ring twice");
            return Err(KeyError::new(KeyErrorKind::Invalid, what));
        }
        self.keys.push(RingKey { id, bytes: Zeroizing::new(*bytes) });
        Ok(self)
    }

    /// Returns the ids of the keys, the newest one last.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| &*key.id)
    }

    pub(super) fn keys(&self) -> &[RingKey] {
        &self.keys
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing").field(&self.ids().collect::<Vec<_>>()).finish()
    }
}

/// Provides the keys that secrets are sealed with, from a key management service, a hardware
/// module or a file.
///
/// # Contract
///
/// * The provider is called once for each store that is opened. A key keeps its id and its
///   bytes forever.
/// * Logs and errors contain no part of a key.
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns the keys, the newest one last.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the keys cannot be obtained.
    async fn key_ring(&self) -> Result<KeyRing, KeyError>;
}

/// Returns the ring itself.
#[async_trait]
impl KeyProvider for KeyRing {
    async fn key_ring(&self) -> Result<KeyRing, KeyError> {
        Ok(self.clone())
    }
}

forward_pointers!(KeyProvider {
    async fn key_ring(&self) -> Result<KeyRing, KeyError>;
});

/// Returns whether this is a valid id: it is written into sealed texts without quotes.
pub(super) fn is_key_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(allowed)
}

fn key_of(line: &str) -> Option<(&str, Zeroizing<[u8; 32]>)> {
    let (id, encoded) = line.split_once('=')?;
    let decoded = Zeroizing::new(BASE64.decode(encoded.trim().as_bytes()).ok()?);
    let id = id.trim_end();
    let bytes = <[u8; 32]>::try_from(&decoded[..]).ok()?;
    is_key_id(id).then(|| (id, Zeroizing::new(bytes)))
}

/// Reads a key file that only its owner can read.
pub(super) fn read_private(path: &Path) -> Result<SecretText, KeyError> {
    SecretFiles::new().read_any_owner(path).map_err(KeyError::from_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8=";

    #[test]
    fn key_ring_is_parsed_with_its_newest_key_last() {
        let text = format!("# comment\n\n a={ONE}\r\n  b-2_X = {ONE}\n");
        let ring = KeyRing::parse(&text).unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["a", "b-2_X"]);
        assert_eq!(ring.keys()[0].bytes[..4], [0x01, 0x23, 0x45, 0x67]);
        let one_line = KeyRing::parse(&format!("a={ONE};b={ONE};")).unwrap();
        assert_eq!(one_line.ids().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn invalid_key_ring_is_rejected_and_not_repeated() {
        let short = &ONE[4..];
        let long_id = "k".repeat(33);
        for bad in [
            String::new(),
            "# only a comment".into(),
            ONE.into(),
            format!("={ONE}"),
            format!("a b={ONE}"),
            format!("a:{ONE}"),
            format!("ä={ONE}"),
            format!("{long_id}={ONE}"),
            format!("a={short}"),
            format!("a={ONE}\na={ONE}"),
            format!("a={ONE}\nsomething else"),
        ] {
            let error = KeyRing::parse(&bad).unwrap_err();
            assert_eq!(error.kind(), KeyErrorKind::Invalid, "{bad:?}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(short) && !shown.contains("something"), "{shown}");
        }
    }

    #[test]
    fn generated_key_is_a_new_line_of_a_ring() {
        let (one, two) = (KeyRing::generate_key("k").unwrap(), KeyRing::generate_key("k").unwrap());
        assert_ne!(one, two);
        let ring = KeyRing::parse(one.expose()).unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["k"]);
        assert!(KeyRing::generate_key("a key").is_err());
    }

    #[test]
    fn debug_shows_the_ids_but_not_the_keys() {
        let ring = KeyRing::parse(&format!("k={ONE}")).unwrap();
        assert_eq!(format!("{ring:?}"), r#"KeyRing(["k"])"#);
    }
}
