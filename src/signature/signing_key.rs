//! AWS Signature Version 4: credential scopes, and the signing keys derived for them.
//!
//! Source: AWS, "Create a signed AWS API request" (IAM User Guide).

use std::{error::Error as StdError, fmt};

use zeroize::Zeroizing;

use super::{
    hash::{self, equal_sha256, hmac_sha256},
    hex, scan,
    sha256::KeyedHmac,
};
use crate::domain::SecretKey;

/// The algorithm name of Signature Version 4 with secret keys.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last part of every scope.
const TERMINATOR: &str = "aws4_request";

/// The length of a date.
const DATE: usize = "YYYYMMDD".len();

/// A signed request that cannot be verified, whatever the secret.
///
/// Repeats nothing that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// The signature version is unknown, or lacks a part that it needs. A bad request.
    Incomplete,
    /// Every part is present, but one has an invalid form or contradicts another. An
    /// unauthorized request.
    Malformed,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "the signed request lacks a part that its signature needs",
            Self::Malformed => "the signed request is malformed",
        })
    }
}

impl StdError for SignatureError {}

/// The day, region and service that a signing key is derived for:
/// `20260102/us-east-1/s3/aws4_request`.
///
/// ```
/// use tower_credentials::signature::CredentialScope;
///
/// let text = "AKIDEXAMPLE/20260102/us-east-1/s3/aws4_request";
/// let (access, scope) = CredentialScope::parse_credential(text)?;
/// assert_eq!(access, "AKIDEXAMPLE");
/// assert_eq!((scope.date(), scope.region(), scope.service()), ("20260102", "us-east-1", "s3"));
/// # Ok::<(), tower_credentials::signature::SignatureError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialScope<'a> {
    date: &'a str,
    region: &'a str,
    service: &'a str,
}

impl<'a> CredentialScope<'a> {
    /// Parses `date/region/service/aws4_request`. The date is eight digits; the region and
    /// the service are any text and may be empty.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Malformed`] if there are fewer or more parts, the date is not eight
    /// digits, or the last part is not `aws4_request`.
    pub fn parse(text: &'a str) -> Result<Self, SignatureError> {
        match Self::split(text) {
            Some(("", scope)) => Ok(scope),
            Some(_) | None => Err(SignatureError::Malformed),
        }
    }

    /// Splits a text into a scope and the text before it, from the end: the region and the
    /// service are short.
    fn split(text: &'a str) -> Option<(&'a str, Self)> {
        let text = text.strip_suffix(TERMINATOR)?.strip_suffix('/')?;
        let (text, service) = scan::rsplit(text, b'/')?;
        let (text, region) = scan::rsplit(text, b'/')?;
        let start = text.len().checked_sub(DATE)?;
        let (before, date) = (text.get(..start)?, text.get(start..)?);
        let digits = date.bytes().fold(true, |all, byte| all & byte.is_ascii_digit());
        digits.then_some((before, Self { date, region, service }))
    }

    /// Creates a scope from parts that have been parsed before.
    pub(super) fn of_parts(date: &'a str, region: &'a str, service: &'a str) -> Self {
        Self { date, region, service }
    }

    /// Parses `access/date/region/service/aws4_request`, the value of `Credential`. Returns
    /// the access key, which contains no slash, and the scope.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Malformed`] if the access key is empty, or under the conditions of
    /// [`parse`](Self::parse).
    pub fn parse_credential(text: &'a str) -> Result<(&'a str, Self), SignatureError> {
        let (before, scope) = Self::split(text).ok_or(SignatureError::Malformed)?;
        match before.strip_suffix('/') {
            None | Some("") => Err(SignatureError::Malformed),
            Some(key) if scan::any(key.as_bytes(), |b| b == b'/') => Err(SignatureError::Malformed),
            Some(access_key) => Ok((access_key, scope)),
        }
    }

    /// Returns the day, as `YYYYMMDD` in UTC.
    #[must_use]
    pub fn date(&self) -> &'a str {
        self.date
    }

    /// Returns the region.
    #[must_use]
    pub fn region(&self) -> &'a str {
        self.region
    }

    /// Returns the service.
    #[must_use]
    pub fn service(&self) -> &'a str {
        self.service
    }
}

impl fmt::Display for CredentialScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// The derived key that signs all requests of one scope.
///
/// Zeroized on drop. `Debug` does not show it.
pub struct SigningKey {
    mac: KeyedHmac,
    blank: bool,
}

impl SigningKey {
    /// Derives the key from a secret for a scope.
    #[must_use]
    pub fn derive(secret: &SecretKey, scope: &CredentialScope<'_>) -> Self {
        Self { mac: mac(&derive(secret, scope)), blank: hash::is_blank(secret) }
    }

    /// Returns the signature of a string to sign.
    #[must_use]
    pub fn sign(&self, string_to_sign: &[u8]) -> [u8; 32] {
        // The blocks of the message and of the inner digest. Those of the key are hashed.
        #[cfg(test)]
        hash::count::add(hash::blocks(hash::BLOCK + string_to_sign.len()));
        self.mac.of(string_to_sign)
    }

    /// Returns whether `signature` is the signature of the string to sign. Compares in
    /// constant time.
    ///
    /// `None`, which [`parse_signature`] returns for invalid text, never verifies and costs the
    /// same. A key derived from an empty secret verifies nothing.
    #[must_use]
    pub fn verify(&self, string_to_sign: &[u8], signature: Option<&[u8; 32]>) -> bool {
        equal_sha256(&self.sign(string_to_sign), signature) && !self.blank
    }
}

opaque_debug!(SigningKey);

fn derive(secret: &SecretKey, scope: &CredentialScope<'_>) -> Zeroizing<[u8; 32]> {
    let first = hash::sha256_key("AWS4", secret);
    let mut key = Zeroizing::new(hmac_sha256(&*first, scope.date.as_bytes()));
    for part in [scope.region, scope.service, TERMINATOR] {
        // In place: the previous key is overwritten.
        *key = hmac_sha256(&*key, part.as_bytes());
    }
    key
}

fn mac(key: &[u8; 32]) -> KeyedHmac {
    #[cfg(test)]
    hash::count::add(2);
    KeyedHmac::new(key)
}

/// Parses a signature: 64 lowercase hex digits. Returns `None` for anything else.
#[must_use]
pub fn parse_signature(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn secret() -> SecretKey {
        SecretKey::from_stored("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    }

    #[test]
    fn signature_errors_have_different_messages() {
        let [incomplete, malformed] = [SignatureError::Incomplete, SignatureError::Malformed];
        assert_ne!(incomplete.to_string(), malformed.to_string());
    }

    #[test]
    fn signing_hashes_the_message_and_the_inner_digest_alone() {
        let scope = CredentialScope::parse("20150830/us-east-1/iam/aws4_request").unwrap();
        let key = SigningKey::derive(&secret(), &scope);
        let expected = hmac_sha256(&*derive(&secret(), &scope), b"message");
        assert_eq!(key.sign(b"message"), expected);
        // One block each. The two of the key were hashed when it was derived.
        assert_eq!(hash::count::blocks_of(|| key.sign(b"message")), 2);
        assert_eq!(hash::count::blocks_of(|| mac(&[7; 32])), 2);
    }

    #[test]
    fn aws_documentation_key_is_derived() {
        let scope = CredentialScope::parse("20150830/us-east-1/iam/aws4_request").unwrap();
        let published = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
        assert_eq!(HEXLOWER.encode(&*derive(&secret(), &scope)), published);
    }

    #[test]
    fn aws_test_suite_get_vanilla_verifies() {
        let request = "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\n\
                       host;x-amz-date\n\
                       e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let scope = CredentialScope::parse("20150830/us-east-1/service/aws4_request").unwrap();
        let hashed = HEXLOWER.encode(&hash::sha256(request.as_bytes()));
        let text = format!("{ALGORITHM}\n20150830T123600Z\n{scope}\n{hashed}");
        let signature =
            parse_signature("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        let key = SigningKey::derive(&secret(), &scope);
        assert!(key.verify(text.as_bytes(), signature.as_ref()));
        for other in ["20150831/us-east-1/service", "20150830/us-west-1/service"] {
            let other = format!("{other}/aws4_request");
            let key = SigningKey::derive(&secret(), &CredentialScope::parse(&other).unwrap());
            assert!(!key.verify(text.as_bytes(), signature.as_ref()), "{other}");
        }
    }

    #[test]
    fn scope_has_exactly_four_parts() {
        let good = "20260102/us-east-1/s3/aws4_request";
        assert_eq!(CredentialScope::parse(good).unwrap().to_string(), good);
        assert!(CredentialScope::parse("20260102///aws4_request").is_ok());
        for bad in [
            "",
            "/",
            "20260102",
            "20260102/us-east-1/s3",
            "20260102/us-east-1/aws4_request",
            "20260102/us-east-1/s3/aws4_request/",
            "20260102/us-east-1/s3/x/aws4_request",
            "AKID/20260102/us-east-1/s3/aws4_request",
            "20260102/us-east-1/s3/aws4_Request",
            "2026012/us-east-1/s3/aws4_request",
            "202601021/us-east-1/s3/aws4_request",
            "2026010x/us-east-1/s3/aws4_request",
            "２026/us-east-1/s3/aws4_request",
        ] {
            assert_eq!(CredentialScope::parse(bad), Err(SignatureError::Malformed), "{bad}");
        }
    }

    #[test]
    fn credential_starts_with_access_key_without_slash() {
        let scope = "20260102/us-east-1/s3/aws4_request";
        assert!(CredentialScope::parse_credential(&format!("AK/{scope}")).is_ok());
        for bad in [scope, &format!("/{scope}"), &format!("A/K/{scope}"), "AK", ""] {
            assert!(CredentialScope::parse_credential(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn signature_is_64_lowercase_hex_digits() {
        assert_eq!(parse_signature(&"0a".repeat(32)), Some([10; 32]));
        let long = "0a".repeat(33);
        for bad in ["", &long[..62], &long[..63], &long[..65], &long, &"0A".repeat(32)] {
            assert_eq!(parse_signature(bad), None, "{bad}");
        }
        assert_eq!(parse_signature(&"0g".repeat(32)), None);
        assert_eq!(parse_signature(&format!(" {}", &long[..63])), None);
        assert_eq!(parse_signature(&"ä".repeat(32)), None);
    }

    #[test]
    fn signing_key_debug_shows_no_key() {
        let scope = CredentialScope::parse("20150830/us-east-1/iam/aws4_request").unwrap();
        assert_eq!(format!("{:?}", SigningKey::derive(&secret(), &scope)), "SigningKey(..)");
    }

    #[test]
    fn key_of_empty_secret_verifies_nothing() {
        let scope = CredentialScope::parse("20150830/us-east-1/iam/aws4_request").unwrap();
        let key = SigningKey::derive(&SecretKey::from_stored(""), &scope);
        assert!(!key.verify(b"text", Some(&key.sign(b"text"))));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,80}") {
            let _ = CredentialScope::parse(&text);
            let _ = CredentialScope::parse_credential(&text);
            let _ = parse_signature(&text);
        }

        #[test]
        fn parsed_scope_prints_as_sent(text in "[0-9]{8}/[^/]{0,9}/[^/]{0,9}/aws4_request") {
            prop_assert_eq!(CredentialScope::parse(&text).unwrap().to_string(), text);
        }
    }
}
