//! Secrets that Keystone sealed, for the import from Keystone.

use std::{fmt, fs, path::Path};

use aes_gcm_siv::aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::{KeyError, KeyErrorKind};
use super::ring::read_private;
use crate::domain::SecretText;

const VERSION: u8 = 0x80;
/// Version and time, before the initialization vector.
const HEAD: usize = 9;
const IV: usize = 16;
const MAC: usize = 32;

/// The keys of a Fernet key repository, as Keystone keeps one for its credentials.
///
/// They open the column `encrypted_blob` of Keystone's table `credential`. This crate seals
/// nothing with them.
#[derive(Clone)]
pub struct FernetKeys {
    /// The primary key first.
    keys: Vec<FernetKey>,
}

#[derive(Clone)]
struct FernetKey {
    signing: Zeroizing<[u8; 16]>,
    sealing: Zeroizing<[u8; 16]>,
}

impl FernetKeys {
    /// Reads a key repository: a folder such as `/etc/keystone/credential-keys`, with files
    /// that are named by numbers. The highest number is the primary key. Files with other
    /// names are ignored.
    ///
    /// Blocks while it reads.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Exposed`] if the group or others may read or write one of the files;
    /// [`KeyErrorKind::Inaccessible`] if the folder or a file cannot be read;
    /// [`KeyErrorKind::Invalid`] if the folder has no key file, or a file does not contain a
    /// key.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, KeyError> {
        let folder = folder.as_ref();
        let inaccessible = |error| {
            let what = format!("cannot read the folder {}", folder.display());
            KeyError::new(KeyErrorKind::Inaccessible, what).with_source(error)
        };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder).map_err(inaccessible)? {
            let name = entry.map_err(inaccessible)?.file_name();
            let name = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
            if let Some((number, name)) = name.and_then(|it| Some((it.parse::<u64>().ok()?, it))) {
                numbers.push((number, name.to_owned()));
            }
        }
        numbers.sort_unstable();
        let mut keys = Vec::new();
        for (_, name) in numbers.iter().rev() {
            let path = folder.join(name);
            let key =
                FernetKey::parse(read_private(&path)?.expose().trim_ascii()).ok_or_else(|| {
                    let what = format!("{} does not contain a Fernet key", path.display());
                    KeyError::new(KeyErrorKind::Invalid, what)
                })?;
            keys.push(key);
        }
        if keys.is_empty() {
            let what =
                format!("{} does not contain a key file named by a number", folder.display());
            return Err(KeyError::new(KeyErrorKind::Invalid, what));
        }
        Ok(Self { keys })
    }

    /// Returns the key of a Keystone without a key repository: it seals with zeros, so that
    /// anybody can open its secrets.
    #[must_use]
    pub fn null() -> Self {
        Self {
            keys: vec![FernetKey { signing: Zeroizing::default(), sealing: Zeroizing::default() }],
        }
    }

    /// Opens a token of any age with the key that made it.
    ///
    /// # Errors
    ///
    /// [`FernetError`] if none of the keys made the token, the token was altered, or its text
    /// is not UTF-8.
    pub fn decrypt(&self, token: &str) -> Result<SecretText, FernetError> {
        let token = token.trim_ascii().trim_end_matches('=');
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| FernetError(()))?;
        self.keys.iter().find_map(|key| key.decrypt(&bytes)).ok_or(FernetError(()))
    }
}

impl FernetKey {
    fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64URL.decode(text.as_bytes()).ok()?);
        let (signing, sealing) = bytes.split_at_checked(16)?;
        Some(Self {
            signing: Zeroizing::new(signing.try_into().ok()?),
            sealing: Zeroizing::new(sealing.try_into().ok()?),
        })
    }

    fn decrypt(&self, token: &[u8]) -> Option<SecretText> {
        let (signed, mac) = token.split_at_checked(token.len().checked_sub(MAC)?)?;
        let mut expected = Hmac::<Sha256>::new_from_slice(&*self.signing).ok()?;
        expected.update(signed);
        expected.verify_slice(mac).ok()?;
        let (head, rest) = signed.split_at_checked(HEAD)?;
        let (iv, body) = rest.split_at_checked(IV)?;
        if head[0] != VERSION {
            return None;
        }
        let cipher = cbc::Decryptor::<Aes128>::new_from_slices(&*self.sealing, iv).ok()?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = cipher.decrypt_padded::<Pkcs7>(&mut body).ok()?;
        str::from_utf8(plain).ok().map(SecretText::new)
    }
}

impl fmt::Debug for FernetKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FernetKeys({})", self.keys.len())
    }
}

/// None of the keys opens the token. The message does not repeat the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FernetError(());

fixed_error!(FernetError, "the Fernet token was not made with any of these keys, or was altered");
