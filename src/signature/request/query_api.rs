//! Signed requests to the query APIs of AWS: IAM and STS.
//!
//! Source: IAM User Guide, "Making query requests" and "Create a signed AWS API request".

use super::{
    error::{RequestError, S3ErrorCode},
    head::{RequestHead, Scheme},
    v4::{Service, V4Request},
};
use crate::signature::{hash, hex, scan};

/// The end of a scope, after its service.
const TERMINATOR: &str = "/aws4_request";

/// Returns the query API that a request is signed for, by the scope in its header.
pub(crate) fn service_of(head: RequestHead<'_>) -> Option<Service> {
    let text = head.single(&http::header::AUTHORIZATION).ok()??;
    let Ok(Some((Scheme::V4, rest))) = Scheme::of_header(text) else { return None };
    let (credential, _) = scan::split(rest.as_bytes(), b',')?;
    let credential = std::str::from_utf8(credential).ok()?;
    service_of_scope(credential)
}

/// Returns the query API of a presigned request, by the scope in its query.
pub(crate) fn service_of_presigned(query: &str) -> Option<Service> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
    service_of_scope(&value.replace("%2F", "/").replace("%2f", "/"))
}

fn service_of_scope(credential: &str) -> Option<Service> {
    let scope = credential.trim_ascii_end().strip_suffix(TERMINATOR)?;
    [Service::Iam, Service::Sts].into_iter().find(|service| {
        scope.strip_suffix(service.as_str()).is_some_and(|rest| rest.ends_with('/'))
    })
}

/// Parses the signature of a request to a query API, whose body was read whole. `None` if the
/// request has no signature of version 4 in its header.
///
/// # Errors
///
/// [`RequestError`] if the request is signed in a way that can never verify.
pub(crate) fn parse<'a>(
    head: RequestHead<'a>,
    service: Service,
    body: &[u8],
) -> Result<Option<V4Request<'a>>, RequestError> {
    let named = head.named();
    let Some((Scheme::V4, rest)) =
        named.authorization.text()?.map(Scheme::of_header).transpose()?.flatten()
    else {
        return Ok(None);
    };
    let sha256 = hash::sha256(body);
    if let Some(declared) = named.content_sha256.text()?
        && hex::decode(declared.as_bytes()) != Some(sha256)
    {
        let message = "The header x-amz-content-sha256 is not the SHA-256 of the body.";
        return Err(RequestError::new(S3ErrorCode::SignatureDoesNotMatch, message));
    }
    if named.session_token.text()?.is_some_and(str::is_empty) {
        return Err(RequestError::session_token());
    }
    V4Request::of_query_api(head, service, rest, &sha256).map(Some)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn service_is_that_of_the_scope() {
        let of = |authorization: &str| {
            let request =
                Request::get("/").header("authorization", authorization).body(()).unwrap();
            service_of(RequestHead::from(&request))
        };
        let signed = |scope: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AK/20260102/{scope}, SignedHeaders=host, Signature=x"
            )
        };
        for (scope, service) in [
            ("us-east-1/sts/aws4_request", Some(Service::Sts)),
            ("/sts/aws4_request", Some(Service::Sts)),
            ("eu-west-1/iam/aws4_request", Some(Service::Iam)),
            ("us-east-1/s3/aws4_request", None),
            ("us-east-1/xsts/aws4_request", None),
            ("sts/s3/aws4_request", None),
            ("us-east-1/sts", None),
        ] {
            assert_eq!(of(&signed(scope)), service, "{scope}");
        }
        for other in ["", "Basic YTpi", "AWS AK:sts/aws4_request", "Bearer x/sts/aws4_request,"] {
            assert_eq!(of(other), None, "{other}");
        }
        for (query, service) in [
            ("X-Amz-Credential=AK%2F20260102%2Feu%2Fsts%2Faws4_request&x=1", Some(Service::Sts)),
            ("a=b&X-Amz-Credential=AK/20260102/eu/iam/aws4_request", Some(Service::Iam)),
            ("X-Amz-Credential=AK%2F20260102%2Feu%2Fs3%2Faws4_request", None),
            ("Action=GetCallerIdentity", None),
        ] {
            assert_eq!(service_of_presigned(query), service, "{query}");
        }
    }
}
