//! What version 4 signs: the canonical request.

use std::{fmt::Write as _, time::SystemTime};

use data_encoding::HEXLOWER;

use super::{
    ALGORITHM, CredentialScope, SignatureError, date,
    fields::{Fields, one_line},
    hash, query,
};

/// What was signed in version 4.
pub(super) struct Signed {
    /// The string to sign.
    pub(super) text: String,
    /// A scope that parses.
    pub(super) scope: String,
    /// When.
    pub(super) time: SystemTime,
}

/// Works out what was signed.
pub(super) fn v4(fields: &Fields<'_>) -> Result<Signed, SignatureError> {
    // The host is among the headers; that it is there at all belongs to the shape.
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

/// What the client says of its signature.
struct Auth<'a> {
    credential: &'a str,
    signed_headers: &'a str,
}

impl<'a> Auth<'a> {
    /// Reads the `Authorization` header if it is one of version 4, the parameters
    /// else.
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

/// `Credential` and `SignedHeaders` of ` Credential=.., SignedHeaders=.., Signature=..`.
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
        query::write_query(&mut text, fields.params());
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
        writeln!(text, "{name}:{value}").expect("a string takes any text");
        any = true;
    }
    // The signer of OpenStack's clients ends the list even if there is none.
    if !any {
        text.push('\n');
    }
    text.extend(["\n", signed_headers, "\n", fields.body_hash()?]);
    Ok(text)
}

/// `Boto/2.x.y` up to 2.x.2 signed the host without its port.
fn is_old_boto(agent: &str) -> bool {
    let version = agent.strip_prefix("Boto/2.").map(str::as_bytes);
    matches!(version, Some([b'0'..=b'9', b'.', b'0'..=b'2', ..]))
}

#[cfg(test)]
mod tests;
