//! The examples of the Amazon S3 documentation, string by string, and rejected requests.

use std::time::UNIX_EPOCH;

use http::{Method, Request};

use super::*;
use crate::{domain::SecretKey, signature::request::SignedRequest};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const HOST: &str = "examplebucket.s3.amazonaws.com";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// An example of "Signature calculations for the Authorization header".
struct Example {
    method: Method,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    hash: &'static str,
    signed_headers: &'static str,
    canonical: String,
    hashed: &'static str,
    signature: &'static str,
}

impl Example {
    fn request(&self) -> Request<()> {
        let mut request = Request::builder().method(&self.method).uri(self.target);
        request = request.header("host", HOST).header("x-amz-date", "20130524T000000Z");
        request = request.header("x-amz-content-sha256", self.hash);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders={},Signature={}",
            self.signed_headers, self.signature
        );
        request.header("authorization", authorization).body(()).unwrap()
    }

    fn holds(&self) {
        let request = self.request();
        let signed = parse(&request);
        let canonical = String::from_utf8(signed.canonical_request().unwrap()).unwrap();
        assert_eq!(canonical, self.canonical);
        let text = String::from_utf8(signed.string_to_sign().unwrap()).unwrap();
        let expected = format!(
            "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{}",
            self.hashed
        );
        assert_eq!(text, expected);
        assert!(signed.verify(&key()).unwrap());
    }
}

fn key() -> SigningKey {
    let scope = CredentialScope::parse("20130524/us-east-1/s3/aws4_request").unwrap();
    SigningKey::derive(&SecretKey::from_stored(SECRET), &scope)
}

fn parse(request: &Request<()>) -> V4Request<'_> {
    match SignedRequest::parse(request.into()).unwrap() {
        Some(SignedRequest::V4(signed)) => signed,
        other => panic!("{other:?}"),
    }
}

fn refused(request: &Request<()>) -> S3ErrorCode {
    SignedRequest::parse(request.into()).map(|_| ()).unwrap_err().code()
}

#[test]
fn get_object_of_the_s3_documentation_verifies() {
    Example {
        method: Method::GET,
        target: "/test.txt",
        headers: &[("range", "bytes=0-9")],
        hash: EMPTY,
        signed_headers: "host;range;x-amz-content-sha256;x-amz-date",
        canonical: format!(
            "GET\n/test.txt\n\nhost:{HOST}\nrange:bytes=0-9\nx-amz-content-sha256:{EMPTY}\n\
             x-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n{EMPTY}"
        ),
        hashed: "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
        signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    }
    .holds();
}

#[test]
fn put_object_of_the_s3_documentation_verifies() {
    let hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    Example {
        method: Method::PUT,
        // As in the documentation, with a plain dollar sign.
        target: "/test$file.text",
        headers: &[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
        hash,
        signed_headers: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        canonical: format!(
            "PUT\n/test%24file.text\n\ndate:Fri, 24 May 2013 00:00:00 GMT\nhost:{HOST}\n\
             x-amz-content-sha256:{hash}\nx-amz-date:20130524T000000Z\n\
             x-amz-storage-class:REDUCED_REDUNDANCY\n\n\
             date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class\n{hash}"
        ),
        hashed: "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
        signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    }
    .holds();
}

#[test]
fn get_bucket_lifecycle_of_the_s3_documentation_verifies() {
    Example {
        method: Method::GET,
        target: "/?lifecycle",
        headers: &[],
        hash: EMPTY,
        signed_headers: "host;x-amz-content-sha256;x-amz-date",
        canonical: format!(
            "GET\n/\nlifecycle=\nhost:{HOST}\nx-amz-content-sha256:{EMPTY}\n\
             x-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n{EMPTY}"
        ),
        hashed: "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
        signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    }
    .holds();
}

#[test]
fn list_objects_of_the_s3_documentation_verifies() {
    Example {
        method: Method::GET,
        target: "/?prefix=J&max-keys=2",
        headers: &[],
        hash: EMPTY,
        signed_headers: "host;x-amz-content-sha256;x-amz-date",
        canonical: format!(
            "GET\n/\nmax-keys=2&prefix=J\nhost:{HOST}\nx-amz-content-sha256:{EMPTY}\n\
             x-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n{EMPTY}"
        ),
        hashed: "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
        signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    }
    .holds();
}

const PRESIGNED: &str = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
    &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
    &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

fn presigned(target: &str) -> Request<()> {
    Request::get(target).header("host", HOST).body(()).unwrap()
}

#[test]
fn the_presigned_url_of_the_s3_documentation_verifies() {
    let request = presigned(PRESIGNED);
    let signed = parse(&request);
    let canonical = String::from_utf8(signed.canonical_request().unwrap()).unwrap();
    let expected = format!(
        "GET\n/test.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\n\
         host:{HOST}\n\nhost\nUNSIGNED-PAYLOAD"
    );
    assert_eq!(canonical, expected);
    let text = String::from_utf8(signed.string_to_sign().unwrap()).unwrap();
    let hashed = "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04";
    let expected =
        format!("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{hashed}");
    assert_eq!(text, expected);
    assert!(signed.verify(&key()).unwrap());
    assert_eq!(signed.access_key(), "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(signed.payload(), Payload::Unsigned);
}

#[test]
fn presigned_url_works_from_the_clock_skew_before_signing_until_it_expires() {
    let skew = Duration::from_mins(15);
    let request = presigned(PRESIGNED);
    let signed = parse(&request);
    let (at, day) = (signed.signed_at(), Duration::from_hours(24));
    for now in [at - skew, at, at + day] {
        assert_eq!(signed.check_time(now, skew), Ok(()));
    }
    let second = Duration::from_secs(1);
    for now in [UNIX_EPOCH, at - skew - second, at + day + second] {
        let code = signed.check_time(now, skew).unwrap_err().code();
        assert_eq!(code, S3ErrorCode::AccessDenied);
    }
}

#[test]
fn missing_or_invalid_presigned_parameters_are_reported() {
    for name in ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"] {
        let start = PRESIGNED.find(&format!("X-Amz-{name}=")).unwrap();
        let end = PRESIGNED[start..].find('&').map_or(PRESIGNED.len(), |end| start + end);
        let without = format!("{}{}", &PRESIGNED[..start], &PRESIGNED[end..]);
        let empty = format!("{}X-Amz-{name}={}", &PRESIGNED[..start], &PRESIGNED[end..]);
        let code = S3ErrorCode::AuthorizationQueryParametersError;
        assert_eq!(refused(&presigned(&without)), code, "{without}");
        if name == "Signature" {
            assert!(!parse(&presigned(&empty)).verify(&key()).unwrap());
        } else {
            assert_eq!(refused(&presigned(&empty)), code, "{empty}");
        }
        let twice = format!("{PRESIGNED}&{}", &PRESIGNED[start..end]);
        assert_eq!(refused(&presigned(&twice)), S3ErrorCode::InvalidArgument, "{twice}");
    }
    for expires in ["0", "604801", "-1", "+60", "1e3", "60 ", "99999999999999999999999"] {
        let target = PRESIGNED.replace("86400", &expires.replace(' ', "%20"));
        let code = refused(&presigned(&target));
        assert_eq!(code, S3ErrorCode::AuthorizationQueryParametersError, "{expires}");
    }
}

#[test]
fn date_header_replaces_a_missing_x_amz_date() {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=date;host;x-amz-content-sha256, Signature={EMPTY}"
    );
    for date in ["Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z"] {
        let request = Request::get("/")
            .header("host", HOST)
            .header("date", date)
            .header("x-amz-content-sha256", EMPTY)
            .header("authorization", &authorization)
            .body(())
            .unwrap();
        assert_eq!(parse(&request).timestamp(), "20130524T000000Z");
    }
}

#[test]
fn access_key_may_contain_the_separators_of_the_header() {
    for access_key in [",", "a,b", "AK, SignedHeaders=host, Signature=x", "a=b;c%2F"] {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={EMPTY}"
        );
        let request = Request::get("/")
            .header("host", HOST)
            .header("x-amz-content-sha256", EMPTY)
            .header("x-amz-date", "20130524T000000Z")
            .header("authorization", &authorization)
            .body(())
            .unwrap();
        let signed = parse(&request);
        assert_eq!(signed.access_key(), access_key);
        assert_eq!(signed.signed_headers(), "host;x-amz-content-sha256;x-amz-date");
        assert!(signed.signature().is_some());
    }
}
