//! [`ConfigError`], and the checks of a layer's settings that return it.

use std::{error::Error as StdError, fmt};

use crate::{
    dialect::Dialect,
    origin::{Host, Origin},
};

/// Why a layer cannot be built as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The id of an AWS account is not 12 digits.
    InvalidAccountId(String),
    /// The base URL is not an `http` or `https` URL.
    InvalidBaseUrl,
    /// A host is not of the form `name` or `name:port`.
    InvalidHost(String),
    /// An origin is not of the form `scheme://host` or `scheme://host:port`. `null`
    /// cannot be trusted: it is the origin of any sandboxed page.
    InvalidOrigin(String),
    /// A prefix does not start with a slash, or ends with a slash.
    InvalidPrefix(String),
    /// The list of dialects is empty.
    NoDialect,
    /// One prefix contains the other, so that both dialects would own its paths.
    OverlappingPrefixes(String, String),
    /// The body limit is zero.
    ZeroBodyLimit,
    /// The body timeout is zero.
    ZeroBodyTimeout,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidAccountId(id) => write!(f, "account id {id:?} must be 12 digits"),
            Self::InvalidBaseUrl => f.write_str("the base URL must be an http or https URL"),
            Self::InvalidHost(host) => {
                write!(f, "host {host:?} must be a name or an address, with or without a port")
            }
            Self::InvalidOrigin(origin) => {
                write!(f, "origin {origin:?} must be scheme://host or scheme://host:port")
            }
            Self::InvalidPrefix(prefix) => {
                write!(f, "prefix {prefix:?} must start with a slash and must not end with a slash")
            }
            Self::NoDialect => f.write_str("at least one dialect must be served"),
            Self::OverlappingPrefixes(a, b) => write!(f, "prefixes {a:?} and {b:?} overlap"),
            Self::ZeroBodyLimit => f.write_str("the body limit must be at least 1 byte"),
            Self::ZeroBodyTimeout => f.write_str("the body timeout must be greater than zero"),
        }
    }
}

impl StdError for ConfigError {}

/// Returns each dialect with the path that was set for it, or its default.
pub(crate) fn with_prefixes(
    dialects: Vec<Dialect>,
    mut prefixes: Vec<(Dialect, String)>,
) -> Vec<(Dialect, String)> {
    let with_prefix = |dialect: Dialect| {
        let set = prefixes.iter().position(|(known, _)| *known == dialect);
        let prefix = set.map(|set| prefixes.swap_remove(set).1);
        (dialect, prefix.unwrap_or_else(|| dialect.default_prefix().to_owned()))
    };
    dialects.into_iter().map(with_prefix).collect()
}

/// Checks the paths of the dialects and of the AWS wires.
pub(crate) fn check_prefixes(
    dialects: &[(Dialect, String)],
    wires: Option<&str>,
) -> Result<(), ConfigError> {
    if dialects.is_empty() {
        return Err(ConfigError::NoDialect);
    }
    let prefixes: Vec<&str> = dialects.iter().map(|(_, prefix)| &**prefix).chain(wires).collect();
    let malformed = |prefix: &&&str| !prefix.starts_with('/') || prefix.ends_with('/');
    // AWS's clients write each byte of a path in one way.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let unsignable = wires.filter(|path| !path.bytes().all(is_plain));
    if let Some(prefix) = prefixes.iter().find(malformed).copied().or(unsignable) {
        return Err(ConfigError::InvalidPrefix(prefix.to_owned()));
    }
    let holds = |a: &str, b: &str| {
        a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for (index, one) in prefixes.iter().enumerate() {
        for other in &prefixes[index + 1..] {
            if holds(one, other) || holds(other, one) {
                let (one, other) = ((*one).to_owned(), (*other).to_owned());
                return Err(ConfigError::OverlappingPrefixes(one, other));
            }
        }
    }
    Ok(())
}

/// The scheme, host and port that a base URL starts with.
pub(crate) fn origin_of_url(url: &str) -> Result<Origin<'static>, ConfigError> {
    let (scheme, rest) = url.split_once("://").ok_or(ConfigError::InvalidBaseUrl)?;
    let host = rest.split('/').next().unwrap_or_default();
    let origin = ["http", "https"].contains(&scheme).then(|| format!("{scheme}://{host}"));
    let origin = origin.as_deref().and_then(Origin::parse).map(Origin::into_owned);
    origin.ok_or(ConfigError::InvalidBaseUrl)
}

pub(crate) fn parsed_origins(origins: &[String]) -> Result<Vec<Origin<'static>>, ConfigError> {
    let parse = |text: &String| {
        let origin = Origin::parse(text).map(Origin::into_owned);
        origin.ok_or_else(|| ConfigError::InvalidOrigin(text.clone()))
    };
    origins.iter().map(parse).collect()
}

pub(crate) fn parsed_hosts(hosts: &[String]) -> Result<Vec<Host<'static>>, ConfigError> {
    hosts.iter().map(|host| parsed_host(host)).collect()
}

pub(crate) fn parsed_host(text: &str) -> Result<Host<'static>, ConfigError> {
    let host = Host::parse(text).map(Host::into_owned);
    host.ok_or_else(|| ConfigError::InvalidHost(text.to_owned()))
}
