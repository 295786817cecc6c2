//! A secret that belongs to no key.

use std::sync::OnceLock;

use crate::domain::SecretKey;

/// The secret to verify with when there is no key, so that this takes as long as a
/// wrong signature.
///
/// Random, as long as a generated secret, made once per process. Without randomness
/// from the operating system it is empty, and nothing verifies with an empty secret.
/// Refuse the request whatever comes out.
#[must_use]
pub fn decoy() -> &'static SecretKey {
    static DECOY: OnceLock<SecretKey> = OnceLock::new();
    DECOY.get_or_init(|| SecretKey::generate().unwrap_or_else(|_| without_randomness()))
}

/// No fixed text would do: whoever reads it here could sign with it.
fn without_randomness() -> SecretKey {
    SecretKey::from_stored("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::hash;

    #[test]
    fn the_decoy_stays_the_same_and_is_as_long_as_a_generated_secret() {
        assert_eq!(decoy(), decoy());
        assert_eq!(decoy().expose().len(), SecretKey::generate().unwrap().expose().len());
    }

    #[test]
    fn nothing_verifies_without_randomness() {
        let signed = hash::hmac_sha1(b"", b"text");
        assert!(!hash::is_hmac_sha1(&without_randomness(), b"text", Some(&signed)));
    }
}
