//! [`Guess`]: what a failing request guessed at. [`Prefix`]: the network that it came from.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::origin::ClientAddress;

/// The longest access key in a log line, in bytes.
const LONGEST_SHOWN: usize = 128;

/// What a failing request guessed at. It contains no secret.
#[derive(Debug)]
pub(crate) struct Guess(Box<Subject>, Via);

/// Who sent a failing request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    /// The client itself.
    Client,
    /// A gateway, whose other clients a late response would delay.
    Gateway,
}

#[derive(Debug)]
enum Subject {
    AccessKey(Box<str>),
    /// The first bytes of the SHA-256 of a token.
    Token([u8; 4]),
    /// The first bytes of the SHA-256 of a user name, in the place of which some clients send a
    /// token.
    User([u8; 4]),
}

/// What [`Guess`]es have in common that count together.
#[derive(Hash)]
pub(super) enum Group<'a> {
    AccessKey(&'a str),
    Token(u8),
    User([u8; 4]),
}

/// The network of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Prefix {
    V4([u8; 3]),
    /// The first 64 bits.
    V6(u64),
    Unknown,
}

impl Guess {
    /// A guess at the secret of this key.
    pub(crate) fn access_key(access_key: &str) -> Self {
        Self(Box::new(Subject::AccessKey(access_key.into())), Via::Client)
    }

    /// The same guess, which a gateway has asked about.
    pub(crate) fn by_gateway(self) -> Self {
        Self(self.0, Via::Gateway)
    }

    /// Returns whether a late response delays its client alone.
    pub(super) fn is_of_client(&self) -> bool {
        self.1 == Via::Client
    }

    /// A guess at a token.
    pub(crate) fn token(token: &str) -> Self {
        Self(Box::new(Subject::Token(digest(token))), Via::Client)
    }

    /// A guess at the password of a user.
    pub(crate) fn user(name: &str) -> Self {
        Self(Box::new(Subject::User(digest(name))), Via::Client)
    }

    pub(super) fn group(&self) -> Group<'_> {
        match &*self.0 {
            Subject::AccessKey(access_key) => Group::AccessKey(access_key),
            Subject::Token([first, ..]) => Group::Token(first >> 4),
            Subject::User(digest) => Group::User(*digest),
        }
    }
}

fn digest(text: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(text));
    [a, b, c, d]
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Subject::AccessKey(access_key) => {
                let end = access_key.floor_char_boundary(LONGEST_SHOWN);
                // `Debug` quotes and escapes what could forge another line.
                write!(f, "access key {:?}", &access_key[..end])
            }
            Subject::Token(digest) => write!(f, "token with SHA-256 {}", HEXLOWER.encode(digest)),
            Subject::User(digest) => write!(f, "user with SHA-256 {}", HEXLOWER.encode(digest)),
        }
    }
}

impl Prefix {
    pub(super) fn of(source: Option<ClientAddress>) -> Self {
        match source.map(|source| source.0.to_canonical()) {
            Some(IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            Some(IpAddr::V6(address)) => {
                let bits = address.to_bits() >> u64::BITS;
                Self::V6(u64::try_from(bits).unwrap_or_default())
            }
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(f, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6(prefix) => {
                let bits = u128::from(prefix) << u64::BITS;
                write!(f, "{}/64", Ipv6Addr::from_bits(bits))
            }
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_the_network_of_the_address() {
        for (address, expected) in [
            ("203.0.113.7", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            let source = ClientAddress(address.parse().unwrap());
            assert_eq!(Prefix::of(Some(source)).to_string(), expected);
        }
        assert_eq!(Prefix::of(None).to_string(), "unknown");
    }

    #[test]
    fn log_text_has_no_token_no_line_break_and_a_limit() {
        let token = Guess::token("open-sesame").to_string();
        assert_eq!(token, "token with SHA-256 d7ecdf25");
        assert!(!Guess::user("alice").to_string().contains("alice"));
        let forged = Guess::access_key("AKID\" level=info\n").to_string();
        assert_eq!(forged, r#"access key "AKID\" level=info\n""#);
        let long = Guess::access_key(&"\u{e9}".repeat(1_000)).to_string();
        assert!(long.len() <= LONGEST_SHOWN + 16, "{long}");
    }
}
