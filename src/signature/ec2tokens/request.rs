//! The request that a receiver describes, and the lookups in it.

use std::{collections::BTreeMap, fmt};

use crate::{domain::AccessKey, signature::SignatureError};

/// A signed EC2-style request as its receiver describes it: the members of a
/// `POST /v3/ec2tokens` body.
///
/// `Debug` shows the access key only: everybody who has a signature can use it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ec2TokensRequest {
    /// The access key that the request names.
    pub access: AccessKey,
    /// The signature: lowercase hex in version 4, base64 otherwise.
    pub signature: String,
    /// The HTTP method. Required in versions 2 and 4.
    pub verb: Option<String>,
    /// The host with its port, if any. Required in versions 2 and 4.
    pub host: Option<String>,
    /// The path. Required in versions 2 and 4.
    pub path: Option<String>,
    /// The parameters of query and form, decoded.
    pub params: BTreeMap<String, String>,
    /// The headers. Names may be in any case.
    pub headers: BTreeMap<String, String>,
    /// SHA-256 of the body in hex. Required in version 4.
    pub body_hash: Option<String>,
}

impl Ec2TokensRequest {
    /// Creates a request of which only the access key and the signature are known.
    #[must_use]
    pub fn new(access: AccessKey, signature: impl Into<String>) -> Self {
        Self {
            access,
            signature: signature.into(),
            verb: None,
            host: None,
            path: None,
            params: BTreeMap::new(),
            headers: BTreeMap::new(),
            body_hash: None,
        }
    }
}

impl fmt::Debug for Ec2TokensRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2TokensRequest").field("access", &self.access).finish_non_exhaustive()
    }
}

/// A request, with its headers by lowercase name.
pub(super) struct Fields<'a> {
    request: &'a Ec2TokensRequest,
    headers: BTreeMap<String, &'a str>,
}

impl<'a> Fields<'a> {
    /// Indexes the headers. Fails on a duplicate name: which of the two was signed is not
    /// known.
    pub(super) fn new(request: &'a Ec2TokensRequest) -> Result<Self, SignatureError> {
        let mut headers = BTreeMap::new();
        for (name, value) in &request.headers {
            if headers.insert(name.trim().to_lowercase(), value.trim()).is_some() {
                return Err(SignatureError::Malformed);
            }
        }
        Ok(Self { request, headers })
    }

    /// Returns the access key that the request names.
    pub(super) fn access(&self) -> &'a str {
        self.request.access.as_str()
    }

    /// Returns a header by its lowercase name, trimmed.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).copied()
    }

    /// Returns a parameter.
    pub(super) fn param(&self, name: &str) -> Option<&'a str> {
        self.request.params.get(name).map(String::as_str)
    }

    /// Returns all parameters, by the code points of their names.
    pub(super) fn params(&self) -> &'a BTreeMap<String, String> {
        &self.request.params
    }

    /// Returns `X-Amz-Date`: the header, or else the parameter.
    pub(super) fn date(&self) -> Option<&'a str> {
        self.header("x-amz-date").or_else(|| self.param("X-Amz-Date"))
    }

    /// Returns the HTTP method.
    pub(super) fn verb(&self) -> Result<&'a str, SignatureError> {
        line(self.request.verb.as_ref())
    }

    /// Returns the host with its port.
    pub(super) fn host(&self) -> Result<&'a str, SignatureError> {
        line(self.request.host.as_ref())
    }

    /// Returns the path.
    pub(super) fn path(&self) -> Result<&'a str, SignatureError> {
        line(self.request.path.as_ref())
    }

    /// Returns the body's SHA-256 in hex.
    pub(super) fn body_hash(&self) -> Result<&'a str, SignatureError> {
        line(self.request.body_hash.as_ref())
    }
}

/// Returns a text that is one line of the string to sign.
///
/// With a line break in it, one signature would be valid for two requests that split the lines
/// differently.
pub(super) fn one_line(text: &str) -> Result<&str, SignatureError> {
    if text.contains(['\n', '\r']) { Err(SignatureError::Malformed) } else { Ok(text) }
}

fn line(text: Option<&String>) -> Result<&str, SignatureError> {
    one_line(text.ok_or(SignatureError::Incomplete)?)
}
