//! Access keys and secrets.

use std::{error::Error as StdError, fmt, mem};

use data_encoding::HEXLOWER;
use rand::{TryRng, rngs::SysRng};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// The longest access key that can be created, in bytes.
const MAX_ACCESS_KEY: usize = 128;

/// The longest secret key that can be created, in bytes.
const MAX_SECRET_KEY: usize = 256;

/// The beginning of the access keys of [sessions](crate::session), which no other key has.
pub(crate) const SESSION_KEY_PREFIX: &str = "ASIA";

/// The public half of a key pair; unique in a store.
///
/// New access keys have 1 to 128 printable ASCII characters without `/`, `:` and space: a slash
/// ends the key in a signature's scope, and gateways split it at a colon. They do not begin with
/// `ASIA`, as the access keys of [sessions](crate::session) do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKey(Box<str>);

impl AccessKey {
    /// Parses an access key that a client wants to create.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the text breaks the rules above.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidKey> {
        let key = key.into();
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b':';
        let is_valid = (1..=MAX_ACCESS_KEY).contains(&key.len())
            && key.bytes().all(allowed)
            && !key.starts_with(SESSION_KEY_PREFIX);
        if is_valid { Ok(Self(key.into_boxed_str())) } else { Err(InvalidKey(())) }
    }

    /// Generates an access key: 32 lowercase hex digits from the operating system.
    ///
    /// # Errors
    ///
    /// [`RandomError`] if the operating system returns no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self(random_hex::<16>()?.as_str().into()))
    }

    /// Creates an access key from the text of a store or a request. An access key that was
    /// never created finds no credential.
    #[must_use]
    pub fn from_stored(key: impl Into<String>) -> Self {
        Self(key.into().into_boxed_str())
    }

    /// Returns whether it begins like the access keys of [sessions](crate::session). No record may
    /// be created with such an access key.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        self.0.starts_with(SESSION_KEY_PREFIX)
    }

    /// Returns the access key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for AccessKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The secret half of a key pair.
///
/// New secrets have 1 to 256 printable ASCII characters. Verifying a signature needs the text,
/// so stores cannot keep a hash instead.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(SecretText);

impl SecretKey {
    /// Parses a secret that a client wants to create.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the text is empty, longer than 256 bytes, or not printable ASCII.
    pub fn new(secret: impl Into<String>) -> Result<Self, InvalidKey> {
        let secret = SecretText::new(secret);
        let text = secret.expose();
        let printable = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if (1..=MAX_SECRET_KEY).contains(&text.len()) && printable {
            Ok(Self(secret))
        } else {
            Err(InvalidKey(()))
        }
    }

    /// Generates a secret: 48 lowercase hex digits from the operating system.
    ///
    /// # Errors
    ///
    /// [`RandomError`] if the operating system returns no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self(SecretText(mem::take(&mut *random_hex::<24>()?))))
    }

    /// Creates a secret from text that was accepted before, such as that of a store.
    #[must_use]
    pub fn from_stored(secret: impl Into<String>) -> Self {
        Self(SecretText::new(secret))
    }

    /// Returns the secret as text. The caller must not leak it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

opaque_debug!(SecretKey);

impl ConstantTimeEq for SecretKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// Generates a key pair, as [`AccessKey::generate`] and [`SecretKey::generate`] do, with one
/// call to the operating system.
///
/// # Errors
///
/// [`RandomError`] if the operating system returns no random bytes.
pub fn generate_pair() -> Result<(AccessKey, SecretKey), RandomError> {
    let mut bytes = Zeroizing::new([0; 16 + 24]);
    SysRng.try_fill_bytes(&mut *bytes).map_err(RandomError::new)?;
    let (access, secret) = bytes.split_at(16);
    let secret = SecretText(HEXLOWER.encode(secret));
    Ok((AccessKey(HEXLOWER.encode(access).into_boxed_str()), SecretKey(secret)))
}

/// Secret text: redacted in `Debug`, without `Display`, wiped when dropped, compared in
/// constant time.
#[derive(Clone)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text. The caller must not leak it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        wipe(&mut mem::take(&mut self.0).into_bytes());
    }
}

opaque_debug!(SecretText);

impl ConstantTimeEq for SecretText {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_bytes().ct_eq(other.0.as_bytes())
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for SecretText {}

/// An error for text that is not a valid access key or secret.
///
/// The error does not contain the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey(());

fixed_error!(InvalidKey, "invalid key: empty, too long, or with a character that is not allowed");

/// The operating system returned no random bytes.
#[derive(Debug)]
pub struct RandomError(Box<dyn StdError + Send + Sync>);

impl RandomError {
    pub(crate) fn new(source: impl StdError + Send + Sync + 'static) -> Self {
        Self(Box::new(source))
    }
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system returned no random bytes")
    }
}

impl StdError for RandomError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// Wipes the whole text at once; `Zeroizing` wipes a vector byte by byte.
fn wipe(bytes: &mut Vec<u8>) {
    bytes.spare_capacity_mut().zeroize();
    bytes.as_mut_slice().zeroize();
}

/// `N` random bytes as lowercase hex. Leaves no copy in memory.
fn random_hex<const N: usize>() -> Result<Zeroizing<String>, RandomError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(RandomError::new)?;
    let text = HEXLOWER.encode(&bytes);
    bytes.zeroize();
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_keys_have_no_slash_colon_space_or_control_character() {
        assert!(AccessKey::new("test_user").is_ok());
        assert!(AccessKey::new("k".repeat(128)).is_ok());
        for bad in ["", "a/b", "a:b", "a b", "a\u{7f}", "ä", &"k".repeat(129)] {
            assert!(AccessKey::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn secrets_are_printable_and_bounded() {
        assert!(SecretKey::new("s".repeat(256)).is_ok());
        for bad in ["", "a\nb", "ä", &"s".repeat(257)] {
            assert!(SecretKey::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_of_a_secret_does_not_contain_it() {
        let key = SecretKey::new("topsecret").unwrap();
        let text = SecretText::new("topsecret");
        assert!(!format!("{key:?}{text:?}").contains("topsecret"));
    }

    #[test]
    fn generated_keys_have_their_documented_length_and_alphabet() {
        let hex = |s: &str| s.bytes().all(|b| b"0123456789abcdef".contains(&b));
        let access = AccessKey::generate().unwrap();
        let secret = SecretKey::generate().unwrap();
        let pair = generate_pair().unwrap();
        assert_eq!((pair.0.as_str().len(), pair.1.expose().len()), (32, 48));
        assert!(hex(pair.0.as_str()) && hex(pair.1.expose()));
        assert_eq!(access.as_str().len(), 32);
        assert_eq!(secret.expose().len(), 48);
        assert!(hex(access.as_str()) && hex(secret.expose()));
        assert_ne!(access, AccessKey::generate().unwrap());
    }
}
