//! The strings to sign of every version: parameters, and the canonical request of version 4.

use std::{fmt::Write as _, time::SystemTime};

use data_encoding::HEXLOWER;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::request::{Fields, one_line};
use crate::signature::{
    date, hash,
    signing_key::{ALGORITHM, CredentialScope, SignatureError},
};

/// The characters that are encoded: all but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the string to sign of version 0: action and time.
pub(super) fn v0(fields: &Fields<'_>) -> Result<String, SignatureError> {
    let param = |name| fields.param(name).ok_or(SignatureError::Incomplete);
    Ok([param("Action")?, param("Timestamp")?].concat())
}

/// Returns the string to sign of version 1: names and values, sorted regardless of case.
pub(super) fn v1(fields: &Fields<'_>) -> String {
    let mut params: Vec<_> = fields.params().iter().collect();
    params.sort_by_cached_key(|(name, _)| name.to_lowercase());
    params.iter().flat_map(|(name, value)| [name.as_str(), value]).collect()
}

/// Returns the string to sign of version 2. The method is HMAC-SHA256, whatever the client
/// sends.
pub(super) fn v2(fields: &Fields<'_>, host: &str) -> Result<String, SignatureError> {
    let mut params = fields.params().clone();
    params.insert("SignatureMethod".into(), "HmacSHA256".into());
    let mut text = format!("{}\n{host}\n{}\n", fields.verb()?, fields.path()?);
    write_query(&mut text, &params);
    Ok(text)
}

/// Appends parameters in their signed form: sorted by code point, encoded, joined by `&`.
pub(super) fn write_query<'a>(
    text: &mut String,
    params: impl IntoIterator<Item = (&'a String, &'a String)>,
) {
    for (index, (name, value)) in params.into_iter().enumerate() {
        let and = if index == 0 { "" } else { "&" };
        let [name, value] = [name, value].map(|part| utf8_percent_encode(part, RESERVED));
        write!(text, "{and}{name}={value}").expect("writing to a string never fails");
    }
}

/// The string to sign of version 4, and what it covers.
pub(super) struct Signed {
    /// The string to sign.
    pub(super) text: String,
    /// A valid scope.
    pub(super) scope: String,
    /// The signing time.
    pub(super) time: SystemTime,
}

/// Returns the string to sign of version 4.
pub(super) fn v4(fields: &Fields<'_>) -> Result<Signed, SignatureError> {
    // The host is signed as a header. The member must be present all the same.
    fields.host()?;
    let stamp = fields.date().ok_or(SignatureError::Incomplete)?;
    let auth = Auth::read(fields)?;
    let request = canonical_request(fields, auth.signed_headers)?;
    let (access, scope) = CredentialScope::parse_credential(one_line(auth.credential)?)?;
    let time = date::parse_iso(stamp).ok_or(SignatureError::Malformed)?;
    if access != fields.access() || !stamp.starts_with(scope.date()) {
        return Err(SignatureError::Malformed);
    }
    let request = HEXLOWER.encode(&hash::sha256(request.as_bytes()));
    let text = format!("{ALGORITHM}\n{stamp}\n{scope}\n{request}");
    Ok(Signed { text, scope: scope.to_string(), time })
}

/// What the client states about its signature.
struct Auth<'a> {
    credential: &'a str,
    signed_headers: &'a str,
}

impl<'a> Auth<'a> {
    /// Reads the `Authorization` header if that is of version 4, or else the parameters.
    fn read(fields: &Fields<'a>) -> Result<Self, SignatureError> {
        let header = fields.header("authorization").and_then(|v| v.strip_prefix(ALGORITHM));
        let (credential, signed_headers) = match header {
            Some(header) => parse_header(header)?,
            None => (fields.param("X-Amz-Credential"), fields.param("X-Amz-SignedHeaders")),
        };
        match (credential, signed_headers) {
            (Some(credential), Some(signed_headers)) => Ok(Self { credential, signed_headers }),
            _ => Err(SignatureError::Malformed),
        }
    }
}

/// Parses `Credential` and `SignedHeaders` of ` Credential=.., SignedHeaders=.., Signature=..`.
fn parse_header(header: &str) -> Result<(Option<&str>, Option<&str>), SignatureError> {
    if !header.starts_with([' ', '\t']) {
        return Err(SignatureError::Malformed);
    }
    let (mut credential, mut signed_headers) = (None, None);
    for part in header.split(',') {
        let (name, value) = part.trim().split_once('=').ok_or(SignatureError::Malformed)?;
        let earlier = match name {
            "Credential" => credential.replace(value),
            "SignedHeaders" => signed_headers.replace(value),
            _ => None,
        };
        if earlier.is_some() {
            return Err(SignatureError::Malformed);
        }
    }
    Ok((credential, signed_headers))
}

fn canonical_request(fields: &Fields<'_>, signed_headers: &str) -> Result<String, SignatureError> {
    let verb = fields.verb()?.to_uppercase();
    let mut text = format!("{verb}\n{}\n", fields.path()?);
    // A POST has its parameters in the body, which is hashed.
    if verb != "POST" {
        write_query(&mut text, fields.params());
    }
    text.push('\n');
    let drops_port = fields.header("user-agent").is_some_and(is_old_boto);
    let mut any = false;
    for name in one_line(signed_headers)?.split(';') {
        let Some(value) = fields.header(name) else { continue };
        let value = match one_line(value)?.split_once(':') {
            Some((host, _)) if name == "host" && drops_port => host,
            _ => value,
        };
        writeln!(text, "{name}:{value}").expect("writing to a string never fails");
        any = true;
    }
    // The signer of OpenStack's clients ends the list even if it is empty.
    if !any {
        text.push('\n');
    }
    text.extend(["\n", signed_headers, "\n", fields.body_hash()?]);
    Ok(text)
}

/// Returns whether this is `Boto/2.x.y` up to 2.x.2, which signed the host without its port.
fn is_old_boto(agent: &str) -> bool {
    let version = agent.strip_prefix("Boto/2.").map(str::as_bytes);
    matches!(version, Some([b'0'..=b'9', b'.', b'0'..=b'2', ..]))
}

#[cfg(test)]
mod tests;
