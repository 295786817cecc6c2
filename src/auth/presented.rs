//! Parses what a request presents: a token, Basic credentials, or an S3 signature.

use data_encoding::BASE64;
use http::{HeaderMap, Request, header};

use super::Presented;
use crate::domain::SecretText;

const X_AUTH_TOKEN: &str = "x-auth-token";

/// The token or Basic credentials of a request. `X-Auth-Token` takes precedence. The first of
/// duplicate headers counts.
pub(crate) fn presented(headers: &HeaderMap) -> Option<Presented> {
    if let Some(token) = headers.get(X_AUTH_TOKEN) {
        let token = token.to_str().ok().filter(|token| !token.is_empty())?;
        return Some(Presented::Token(SecretText::new(token)));
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        return Some(Presented::Token(SecretText::new(rest)));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(BASE64.decode(rest.as_bytes()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        return Some(Presented::Basic {
            username: username.into(),
            password: SecretText::new(password),
        });
    }
    None
}

/// Returns whether this is an S3 request: it has an AWS signature, and no token.
pub(crate) fn is_signed_for_s3<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    if headers.contains_key(X_AUTH_TOKEN) {
        return false;
    }
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        // `AWS4-HMAC-SHA256 ...` and `AWS key:signature`.
        return value.as_bytes().starts_with(b"AWS");
    }
    let names = || {
        let query = request.uri().query().unwrap_or_default();
        query.split('&').map(|pair| pair.split('=').next().unwrap_or_default())
    };
    let has = |wanted: &str| names().any(|name| name.eq_ignore_ascii_case(wanted));
    has("X-Amz-Signature") || (has("Signature") && has("AWSAccessKeyId"))
}
