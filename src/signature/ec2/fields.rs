//! What a version looks up in a request.

use std::collections::BTreeMap;

use super::{Ec2Request, SignatureError};

/// A request with its headers by lowercase name.
pub(super) struct Fields<'a> {
    request: &'a Ec2Request,
    headers: BTreeMap<String, &'a str>,
}

impl<'a> Fields<'a> {
    /// Indexes the headers. Fails if a name is there twice: which one was signed
    /// would be a guess.
    pub(super) fn new(request: &'a Ec2Request) -> Result<Self, SignatureError> {
        let mut headers = BTreeMap::new();
        for (name, value) in &request.headers {
            if headers.insert(name.trim().to_lowercase(), value.trim()).is_some() {
                return Err(SignatureError::Malformed);
            }
        }
        Ok(Self { request, headers })
    }

    /// The access key that the request names.
    pub(super) fn access(&self) -> &'a str {
        self.request.access.as_str()
    }

    /// A header by its lowercase name, without the space around it.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).copied()
    }

    /// A parameter.
    pub(super) fn param(&self, name: &str) -> Option<&'a str> {
        self.request.params.get(name).map(String::as_str)
    }

    /// All the parameters, by the code points of their names.
    pub(super) fn params(&self) -> &'a BTreeMap<String, String> {
        &self.request.params
    }

    /// `X-Amz-Date`, the header before the parameter.
    pub(super) fn date(&self) -> Option<&'a str> {
        self.header("x-amz-date").or_else(|| self.param("X-Amz-Date"))
    }

    /// The HTTP method.
    pub(super) fn verb(&self) -> Result<&'a str, SignatureError> {
        line(self.request.verb.as_ref())
    }

    /// The host with its port.
    pub(super) fn host(&self) -> Result<&'a str, SignatureError> {
        line(self.request.host.as_ref())
    }

    /// The path.
    pub(super) fn path(&self) -> Result<&'a str, SignatureError> {
        line(self.request.path.as_ref())
    }

    /// The body's SHA-256 in hex.
    pub(super) fn body_hash(&self) -> Result<&'a str, SignatureError> {
        line(self.request.body_hash.as_ref())
    }
}

/// A text that is one line of what is signed.
///
/// A line break in it would let one signature stand for two requests, with the
/// lines told apart differently.
pub(super) fn one_line(text: &str) -> Result<&str, SignatureError> {
    if text.contains(['\n', '\r']) { Err(SignatureError::Malformed) } else { Ok(text) }
}

fn line(text: Option<&String>) -> Result<&str, SignatureError> {
    one_line(text.ok_or(SignatureError::Incomplete)?)
}
