//! The chain of codes: each line has a code over itself and the code of the line before.

use std::{env, fmt, str};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::error::AuditKeyError;
use crate::{domain::SecretText, secret_files::SecretFiles};

/// The start of the last member of a line.
const MAC: &str = ",\"mac\":\"";

/// The length of a code in hexadecimal digits.
const DIGITS: usize = 64;

/// The key of a chain.
#[derive(Clone)]
pub struct AuditKey(Zeroizing<Vec<u8>>);

opaque_debug!(AuditKey);

/// The last line of a chain: its number and its code. Displayed as `SEQ:CODE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHead {
    pub(super) seq: u64,
    pub(super) mac: [u8; 32],
}

/// A line, without its code.
pub(super) struct Sealed<'a> {
    pub(super) seq: u64,
    /// What the code covers.
    covered: &'a str,
    pub(super) mac: [u8; 32],
}

impl Sealed<'_> {
    pub(super) fn head(&self) -> ChainHead {
        ChainHead { seq: self.seq, mac: self.mac }
    }
}

impl AuditKey {
    /// Creates a key from random bytes.
    ///
    /// # Errors
    ///
    /// [`AuditKeyError`] if there are fewer than 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, AuditKeyError> {
        if bytes.len() < 32 {
            return Err(AuditKeyError::TooShort);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Reads a key from a file, or from an environment variable with `env:NAME`: one line of text
    /// with at least 32 characters, such as the output of `openssl rand -base64 32`.
    ///
    /// # Errors
    ///
    /// [`AuditKeyError`] if the text is too short, or cannot be read.
    pub fn resolve(name: &str, files: SecretFiles) -> Result<Self, AuditKeyError> {
        let text = match name.strip_prefix("env:") {
            Some(variable) => {
                SecretText::new(env::var(variable).map_err(AuditKeyError::unreadable)?)
            }
            None => files.read(name.as_ref()).map_err(AuditKeyError::unreadable)?,
        };
        Self::new(text.expose().trim_end().as_bytes())
    }

    fn mac(&self, previous: &[u8; 32], covered: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key has any length");
        mac.update(previous);
        mac.update(covered.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Returns whether the code of a line is that of its text after the line `previous`.
    pub(super) fn verifies(&self, previous: &[u8; 32], line: &Sealed<'_>) -> bool {
        self.mac(previous, line.covered).ct_eq(&line.mac).into()
    }
}

impl ChainHead {
    /// The head of a chain without lines.
    pub(super) const NONE: Self = Self { seq: 0, mac: [0; 32] };

    /// Parses `SEQ:CODE`, as in the log.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, mac) = text.split_once(':')?;
        Some(Self { seq: seq.parse().ok()?, mac: parse_mac(mac)? })
    }

    /// Returns the number of the line.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Appends the next line to `out`, with the members that follow `seq`. Returns its head.
    pub(super) fn append(self, key: &AuditKey, members: &str, out: &mut Vec<u8>) -> Self {
        let seq = self.seq + 1;
        let covered = format!("{{\"seq\":{seq},{members}");
        let mac = key.mac(&self.mac, &covered);
        out.extend_from_slice(covered.as_bytes());
        out.extend_from_slice(MAC.as_bytes());
        out.extend_from_slice(HEXLOWER.encode(&mac).as_bytes());
        out.extend_from_slice(b"\"}\n");
        Self { seq, mac }
    }

    /// Returns the code in hexadecimal digits.
    pub(super) fn mac_text(&self) -> String {
        HEXLOWER.encode(&self.mac)
    }
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.mac_text())
    }
}

impl fmt::Debug for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Splits a line without its line end.
pub(super) fn split(line: &[u8]) -> Option<Sealed<'_>> {
    let line = str::from_utf8(line).ok()?.strip_suffix("\"}")?;
    let at = line.len().checked_sub(DIGITS)?;
    let mac = parse_mac(line.get(at..)?)?;
    let covered = line.get(..at)?.strip_suffix(MAC)?;
    let (seq, _) = covered.strip_prefix("{\"seq\":")?.split_once(',')?;
    Some(Sealed { seq: seq.parse().ok()?, covered, mac })
}

/// Parses a code.
pub(super) fn parse_mac(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_verifies_after_its_predecessor_only() {
        let key = AuditKey::new(&[7; 32]).unwrap();
        let mut out = Vec::new();
        let first = ChainHead::NONE.append(&key, "\"type\":\"start\"", &mut out);
        let at = out.len();
        let second = first.append(&key, "\"type\":\"event\"", &mut out);
        let line = split(&out[at..out.len() - 1]).unwrap();
        assert_eq!((line.seq, line.mac), (2, second.mac));
        assert!(key.verifies(&first.mac, &line));
        assert!(!key.verifies(&ChainHead::NONE.mac, &line));
        let other = AuditKey::new(&[8; 32]).unwrap();
        assert!(!other.verifies(&first.mac, &line));
        assert_eq!(ChainHead::parse(&second.to_string()), Some(second));
    }

    /// Computed with Python's `hmac`.
    #[test]
    fn code_of_a_line_is_that_of_the_documented_format() {
        let key = AuditKey::new(b"0123456789abcdef0123456789abcdef").unwrap();
        let mut out = Vec::new();
        let head = ChainHead::NONE.append(&key, "\"type\":\"start\"", &mut out);
        assert_eq!(
            head.mac_text(),
            "51986aabc90092530d1bc907ecd3d4bea0ffc7a0e2c1709c2158d712dfda895b"
        );
    }

    #[test]
    fn short_keys_are_rejected() {
        assert!(matches!(AuditKey::new(&[1; 31]), Err(AuditKeyError::TooShort)));
    }
}
