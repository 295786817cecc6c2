//! Salted hashes of passwords.

use data_encoding::BASE64_NOPAD;
use rand::{TryRng, rngs::SysRng};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{RandomError, SecretText};

/// Rounds of PBKDF2 with HMAC-SHA-256, as OWASP recommends.
const ROUNDS: u32 = 600_000;

const SALT: usize = 16;
const HASH: usize = 32;
const SCHEME: &str = "pbkdf2-sha256";

/// A salted, slow hash of a password. Records of v2 `passwordCredentials` grants contain only
/// this.
///
/// Text form: `pbkdf2-sha256$<rounds>$<salt>$<hash>`, both in unpadded base64.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    rounds: u32,
    salt: [u8; SALT],
    hash: [u8; HASH],
}

impl PasswordHash {
    /// Hashes a password with a new salt.
    ///
    /// Uses a noticeable fraction of a second of CPU time by design. Call it on a thread that
    /// may block.
    ///
    /// # Errors
    ///
    /// [`RandomError`] if the operating system returns no random bytes.
    pub fn derive(password: &SecretText) -> Result<Self, RandomError> {
        let mut salt = [0; SALT];
        SysRng.try_fill_bytes(&mut salt).map_err(RandomError::new)?;
        Ok(Self { rounds: ROUNDS, salt, hash: stretch(password, &salt, ROUNDS) })
    }

    /// Returns true if this is the hash of the password. As slow as [`derive`](Self::derive).
    #[must_use]
    pub fn verify(&self, password: &SecretText) -> bool {
        stretch(password, &self.salt, self.rounds).ct_eq(&self.hash).into()
    }

    pub(super) fn encode(&self) -> String {
        let (salt, hash) = (BASE64_NOPAD.encode(&self.salt), BASE64_NOPAD.encode(&self.hash));
        format!("{SCHEME}${}${salt}${hash}", self.rounds)
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        let (scheme, rounds) = (parts.next()?, parts.next()?.parse().ok()?);
        let salt = BASE64_NOPAD.decode(parts.next()?.as_bytes()).ok()?.try_into().ok()?;
        let hash = BASE64_NOPAD.decode(parts.next()?.as_bytes()).ok()?.try_into().ok()?;
        (scheme == SCHEME && parts.next().is_none()).then_some(Self { rounds, salt, hash })
    }
}

opaque_debug!(PasswordHash);

fn stretch(password: &SecretText, salt: &[u8], rounds: u32) -> [u8; HASH] {
    pbkdf2::pbkdf2_hmac_array::<Sha256, HASH>(password.expose().as_bytes(), salt, rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_verifies_its_own_password_only_also_after_a_round_trip() {
        let hash = PasswordHash::derive(&SecretText::new("correct horse")).unwrap();
        let again = PasswordHash::decode(&hash.encode()).unwrap();
        assert!(again.verify(&SecretText::new("correct horse")));
        assert!(!again.verify(&SecretText::new("correct hors")));
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let password = SecretText::new("same");
        let (a, b) = (PasswordHash::derive(&password), PasswordHash::derive(&password));
        assert_ne!(a.unwrap().encode(), b.unwrap().encode());
    }

    #[test]
    fn text_that_is_not_a_hash_is_rejected() {
        for bad in ["", "pbkdf2-sha256$1$AA$AA", "md5$1$$", "pbkdf2-sha256$x$$"] {
            assert!(PasswordHash::decode(bad).is_none(), "{bad:?}");
        }
    }
}
