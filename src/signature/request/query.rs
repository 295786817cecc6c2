//! The query of a request: a signature's parameters, and the canonical form.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::{
    error::{RequestError, S3ErrorCode},
    head::Scheme,
    path,
};

/// The parameters of presigned requests of both versions. Each name has exactly one spelling.
pub(crate) const SIGNATURE_PARAMETERS: [&str; 11] = [
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "X-Amz-Algorithm",
    "X-Amz-Content-Sha256",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// A query as the client sent it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// Returns names and values as sent. A part without `=` has no value.
    pub(super) fn parts(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let parts = self.0.split('&').filter(|part| !part.is_empty());
        parts.map(|part| match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        })
    }

    fn pairs(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.parts().map(|(name, value)| (name, value.unwrap_or_default()))
    }

    /// Returns the version of a presigned request. `None` if the request is not presigned.
    pub(super) fn scheme(self) -> Result<Option<Scheme>, RequestError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (mut v2, mut v4) = (false, false);
        for (name, _) in self.pairs() {
            let Some(name) = parameter(name)? else { continue };
            match name {
                "AWSAccessKeyId" | "Signature" => v2 = true,
                // `Expires` alone belongs to the app.
                "Expires" => {}
                _ => v4 = true,
            }
        }
        match (v2, v4) {
            (true, true) => {
                let message = "The query has parameters of two versions of signatures.";
                Err(RequestError::new(S3ErrorCode::InvalidArgument, message))
            }
            (true, false) => Ok(Some(Scheme::V2)),
            (false, true) => Ok(Some(Scheme::V4)),
            (false, false) => Ok(None),
        }
    }

    /// Returns the decoded session token of a presigned request, if there is one.
    pub(super) fn session_token(self) -> Result<Option<Cow<'a, str>>, RequestError> {
        if self.0.is_empty() { Ok(None) } else { self.value("X-Amz-Security-Token") }
    }

    /// Returns the decoded value of a signature's parameter, which must be present.
    pub(super) fn required(
        self,
        wanted: &str,
        missing: RequestError,
    ) -> Result<Cow<'a, str>, RequestError> {
        self.value(wanted)?.ok_or(missing)
    }

    /// Returns the decoded value of a signature's parameter, if present.
    pub(super) fn value(self, wanted: &str) -> Result<Option<Cow<'a, str>>, RequestError> {
        let mut values = self.pairs().filter(|(name, _)| *name == wanted).map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(duplicate());
        }
        if !value.contains('%') {
            return Ok(Some(Cow::Borrowed(value)));
        }
        let mut decoded = Vec::with_capacity(value.len());
        decoded.extend(percent_decode_str(value));
        let error = |_| RequestError::query("A parameter is not valid UTF-8.");
        String::from_utf8(decoded).map(|value| Some(Cow::Owned(value))).map_err(error)
    }

    /// Writes the canonical query, without the parameter `without`.
    pub(super) fn write(self, text: &mut Vec<u8>, without: &str) -> Result<(), RequestError> {
        if self.0.is_empty() || self.write_if_canonical(text, without) {
            return Ok(());
        }
        let mut pairs = Vec::with_capacity(8);
        for (name, value) in self.pairs().filter(|(name, _)| *name != without) {
            let (Some(name), Some(value)) =
                (path::canonical_part(name), path::canonical_part(value))
            else {
                return Err(RequestError::invalid_uri());
            };
            pairs.push((name, value));
        }
        // Equal names are rejected, so the sort need not be stable.
        pairs.sort_unstable();
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(duplicate());
        }
        let start = text.len();
        for (name, value) in &pairs {
            write_pair(text, start, name, value);
        }
        Ok(())
    }

    /// Writes the query if it is canonical as sent, as most queries are, without allocating.
    /// Otherwise writes nothing and returns `false`.
    fn write_if_canonical(self, text: &mut Vec<u8>, without: &str) -> bool {
        let start = text.len();
        let mut previous = None;
        for (name, value) in self.pairs().filter(|(name, _)| *name != without) {
            let ascending = previous.is_none_or(|previous| previous < name);
            if !ascending || !path::is_canonical(name) || !path::is_canonical(value) {
                text.truncate(start);
                return false;
            }
            write_pair(text, start, name, value);
            previous = Some(name);
        }
        true
    }
}

/// Appends a parameter to the query that starts at `start`.
fn write_pair(text: &mut Vec<u8>, start: usize, name: &str, value: &str) {
    if text.len() > start {
        text.push(b'&');
    }
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value.as_bytes());
}

/// Returns the signature's parameter with this name. `None` if the parameter is the app's.
fn parameter(name: &str) -> Result<Option<&'static str>, RequestError> {
    let decoded;
    let name = if name.contains(['%', '+']) {
        decoded = percent_decode_str(name).decode_utf8_lossy();
        &*decoded
    } else {
        if let Some(parameter) = SIGNATURE_PARAMETERS.iter().find(|parameter| **parameter == name) {
            return Ok(Some(parameter));
        }
        name
    };
    // `expires` and `signature` in lower case belong to the app.
    let other =
        SIGNATURE_PARAMETERS[3..].iter().any(|parameter| parameter.eq_ignore_ascii_case(name));
    if other || SIGNATURE_PARAMETERS.contains(&name) {
        return Err(RequestError::query("A parameter's name has another spelling."));
    }
    Ok(None)
}

pub(super) fn duplicate() -> RequestError {
    let message = "A parameter that may be there once is there twice.";
    RequestError::new(S3ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(query: &str) -> Result<String, RequestError> {
        let mut text = Vec::new();
        Query(query).write(&mut text, "X-Amz-Signature")?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn queries_are_sorted_by_encoded_name_without_the_signature() {
        for (sent, signed) in [
            ("", ""),
            ("acl", "acl="),
            ("acl=", "acl="),
            ("b=2&a=1", "a=1&b=2"),
            ("a=1&&b=2&", "a=1&b=2"),
            ("prefix=J&max-keys=2", "max-keys=2&prefix=J"),
            ("a=%7e%2f+", "a=~%2F%20"),
            ("B=&a=&A=", "A=&B=&a="),
            ("ab=1&a%21=2", "a%21=2&ab=1"),
            ("X-Amz-Signature=abc&x=1", "x=1"),
            ("a=b=c", "a=b%3Dc"),
        ] {
            assert_eq!(canonical(sent).as_deref(), Ok(signed), "{sent}");
        }
    }

    #[test]
    fn duplicate_parameter_is_rejected_in_any_spelling() {
        for bad in ["a=1&a=2", "a=1&b=2&a=1", "a&%61=", "a+b=1&a%20b=1"] {
            assert_eq!(canonical(bad), Err(duplicate()), "{bad}");
        }
    }

    #[test]
    fn signature_parameters_have_exactly_one_spelling() {
        for (query, scheme) in [
            ("", None),
            ("prefix=x&Expires=5", None),
            ("expires=1&signature=x", None),
            ("AWSAccessKeyId=x", Some(Scheme::V2)),
            ("Signature=x", Some(Scheme::V2)),
            ("X-Amz-Date=x", Some(Scheme::V4)),
            ("a=b&X-Amz-Signature=", Some(Scheme::V4)),
        ] {
            assert_eq!(Query(query).scheme(), Ok(scheme), "{query}");
        }
        for bad in ["x-amz-signature=x", "X-Amz%2DSignature=x", "X-AMZ-DATE", "%53ignature=x"] {
            assert!(Query(bad).scheme().is_err(), "{bad}");
        }
        assert!(Query("Signature=x&X-Amz-Date=y").scheme().is_err());
    }
}
