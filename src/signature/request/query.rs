//! A request's query: a signature's parameters in it, and its canonical form.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::{
    Scheme,
    error::{RequestError, S3ErrorCode},
    path,
};

/// The parameters of a presigned request, of both versions. Their names have one
/// spelling each.
const PARAMETERS: [&str; 11] = [
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

/// The query as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// Names and values as they were sent; what has no `=` has no value.
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

    /// How the request is presigned, if it is.
    pub(super) fn scheme(self) -> Result<Option<Scheme>, RequestError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (mut v2, mut v4) = (false, false);
        for (name, _) in self.pairs() {
            let Some(name) = parameter(name)? else { continue };
            match name {
                "AWSAccessKeyId" | "Signature" => v2 = true,
                // `Expires` alone is the app's.
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

    pub(super) fn has_session_token(self) -> bool {
        self.pairs().any(|(name, _)| name == "X-Amz-Security-Token")
    }

    /// The value of a signature's parameter, decoded; there must be one.
    pub(super) fn required(
        self,
        wanted: &str,
        missing: RequestError,
    ) -> Result<Cow<'a, str>, RequestError> {
        self.value(wanted)?.ok_or(missing)
    }

    /// The value of a signature's parameter, decoded, if it is there.
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

    /// Writes the query as it is signed, without the parameter of this name.
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
        // Stable or not is all the same, as no two names are.
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

    /// Writes a query that is canonical as it was sent, as most are: nothing has to be
    /// kept meanwhile. If it is not, nothing is written.
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

/// Writes a parameter into the query that starts there.
fn write_pair(text: &mut Vec<u8>, start: usize, name: &str, value: &str) {
    if text.len() > start {
        text.push(b'&');
    }
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value.as_bytes());
}

/// The signature's parameter that a name stands for; none, if it is the app's.
fn parameter(name: &str) -> Result<Option<&'static str>, RequestError> {
    let decoded;
    let name = if name.contains(['%', '+']) {
        decoded = percent_decode_str(name).decode_utf8_lossy();
        &*decoded
    } else {
        if let Some(parameter) = PARAMETERS.iter().find(|parameter| **parameter == name) {
            return Ok(Some(parameter));
        }
        name
    };
    // `expires` and `signature` in lower case are the app's own.
    let other = PARAMETERS[3..].iter().any(|parameter| parameter.eq_ignore_ascii_case(name));
    if other || PARAMETERS.contains(&name) {
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
    fn queries_are_sorted_by_their_encoded_names_and_lose_their_signature() {
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
    fn a_parameter_that_is_there_twice_is_refused_in_any_spelling() {
        for bad in ["a=1&a=2", "a=1&b=2&a=1", "a&%61=", "a+b=1&a%20b=1"] {
            assert_eq!(canonical(bad), Err(duplicate()), "{bad}");
        }
    }

    #[test]
    fn the_parameters_of_a_signature_have_one_spelling() {
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
