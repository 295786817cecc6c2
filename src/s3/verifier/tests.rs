//! What the response time must not reveal, counted in hash blocks.

use std::time::{Duration, UNIX_EPOCH};

use http::Request;

use super::*;
use crate::{
    domain::{AccessKey, CredentialId, Kind, Material, Status, UserId, Version},
    s3::S3AuthLayer,
    session::{Holder, SessionCredentials},
    signature::{hash::count::blocks_of, request::S3ErrorCode},
};

/// Knows one key without asking.
#[derive(Debug)]
struct One(Arc<Credential>);

#[async_trait::async_trait]
impl KeySource for One {
    fn known(&self, access_key: &str, _: SystemTime) -> Option<Known> {
        let known = self.0.access_key.as_ref().is_some_and(|key| key.as_str() == access_key);
        Some(if known { Known::Present(Arc::clone(&self.0)) } else { Known::Absent })
    }

    async fn find(
        &self,
        _: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, crate::backend::BackendError> {
        Ok(None)
    }
}

const AT: &str = "20260102T030405Z";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_323_045)
}

fn verifier(status: Status) -> Verifier {
    let access = AccessKey::new("KNOWN").unwrap();
    let mut record = Credential::new(
        CredentialId::of(&access),
        Kind::ec2(),
        UserId::new("alice").unwrap(),
        Material::KeyPair { secret: Some(SecretKey::from_stored("k".repeat(48))) },
        UNIX_EPOCH,
        Version::fresh(),
    );
    record.access_key = Some(access);
    record.status = status;
    S3AuthLayer::builder(One(Arc::new(record))).signature_v2(true).verifier()
}

fn v4(access: &str, region: &str, signature: &str) -> Request<()> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access}/20260102/{region}/s3/aws4_request, \
         SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    );
    Request::get("/b/k")
        .header("host", "h")
        .header("x-amz-date", AT)
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .header("authorization", authorization)
        .body(())
        .unwrap()
}

/// A request with a valid signature.
fn genuine(region: &str) -> Request<()> {
    let request = v4("KNOWN", region, &"0".repeat(64));
    let Ok(Some(SignedRequest::V4(signed))) = SignedRequest::parse(RequestHead::from(&request))
    else {
        panic!("the request parses");
    };
    let key = SigningKey::derive(&SecretKey::from_stored("k".repeat(48)), &signed.scope());
    let signature = key.sign(&signed.string_to_sign().unwrap());
    v4("KNOWN", region, &data_encoding::HEXLOWER.encode(&signature))
}

fn cost(verifier: &Verifier, request: &Request<()>, code: Option<S3ErrorCode>) -> usize {
    blocks_of(|| {
        let decided = verifier.decide(RequestHead::from(request), now());
        assert_eq!(decided.map(|_| ()).err().map(|refusal| refusal.code), code);
    })
}

#[test]
fn refusals_for_key_or_signature_cost_the_same_hash_blocks() {
    let (active, inactive) = (verifier(Status::Active), verifier(Status::Inactive));
    let wrong = "1".repeat(64);
    let mismatch = Some(S3ErrorCode::SignatureDoesNotMatch);
    let unknown = Some(S3ErrorCode::InvalidAccessKeyId);
    // As long as the known key, since the response repeats the canonical request.
    let stranger = v4("OTHER", "eu-1", &wrong);
    let expected = cost(&active, &stranger, unknown);
    for signature in [wrong.as_str(), "x"] {
        let request = v4("KNOWN", "eu-1", signature);
        assert_eq!(cost(&active, &request, mismatch), expected, "nothing derived yet");
    }
    assert_eq!(cost(&inactive, &genuine("eu-1"), unknown), expected, "a disabled key");

    // Now the signing key of this scope is cached, which saves the derivation.
    let first = cost(&active, &genuine("eu-1"), None);
    let second = cost(&active, &genuine("eu-1"), None);
    assert_eq!(first, expected);
    assert!(second < first, "{second} blocks");
    assert_eq!(cost(&active, &v4("KNOWN", "eu-1", &wrong), mismatch), expected, "derived before");
    assert_eq!(cost(&active, &stranger, unknown), expected, "still unknown");
}

/// A request that is signed with a session of this key.
fn of_session(parent: &str, secret: &str, signature: Option<&str>) -> Request<()> {
    let holder = Holder::Role("nightly".into());
    let parent = AccessKey::from_stored(parent);
    let session = Session::new(&parent, holder, now(), Duration::from_hours(1)).unwrap();
    signed_by(&session.mint(&SecretKey::from_stored(secret)).unwrap(), signature)
}

fn signed_by(credentials: &SessionCredentials, signature: Option<&str>) -> Request<()> {
    let with = |signature: &str| {
        let mut request = v4(credentials.access_key.as_str(), "eu-1", signature);
        let authorization = request.headers()["authorization"].to_str().unwrap();
        let authorization =
            authorization.replace("x-amz-date,", "x-amz-date;x-amz-security-token,");
        let headers = request.headers_mut();
        headers.insert("authorization", authorization.parse().unwrap());
        let token = credentials.session_token.expose().parse().unwrap();
        headers.insert("x-amz-security-token", token);
        request
    };
    if let Some(signature) = signature {
        return with(signature);
    }
    let unsigned = with(&"0".repeat(64));
    let Ok(Some(SignedRequest::V4(signed))) = SignedRequest::parse(RequestHead::from(&unsigned))
    else {
        panic!("the request parses");
    };
    let key = SigningKey::derive(&credentials.secret_key, &signed.scope());
    let signature = key.sign(&signed.string_to_sign().unwrap());
    with(&data_encoding::HEXLOWER.encode(&signature))
}

#[test]
fn refusals_of_sessions_cost_the_same_hash_blocks() {
    let (active, inactive) = (verifier(Status::Active), verifier(Status::Inactive));
    let (secret, foreign) = ("k".repeat(48), "x".repeat(48));
    let wrong = "1".repeat(64);
    let unknown = Some(S3ErrorCode::InvalidAccessKeyId);
    // As long as the known key, so that the tokens have one length.
    let expected = cost(&active, &of_session("OTHER", &secret, None), unknown);
    let foreign = of_session("KNOWN", &foreign, None);
    assert_eq!(cost(&active, &foreign, Some(S3ErrorCode::InvalidToken)), expected, "not genuine");
    let genuine = of_session("KNOWN", &secret, None);
    assert_eq!(cost(&inactive, &genuine, unknown), expected, "a disabled parent");

    // The refusal of a signature repeats the canonical request, which only a genuine session sees.
    let mismatch = Some(S3ErrorCode::SignatureDoesNotMatch);
    let holder = Holder::Role("nightly".into());
    let parent = AccessKey::from_stored("KNOWN");
    let session = Session::new(&parent, holder, now(), Duration::from_hours(1)).unwrap();
    let credentials = session.mint(&SecretKey::from_stored(&*secret)).unwrap();
    let missing = cost(&active, &signed_by(&credentials, Some(&wrong)), mismatch);
    assert_eq!(missing, expected, "nothing derived yet");
    let first = cost(&active, &signed_by(&credentials, None), None);
    let second = cost(&active, &signed_by(&credentials, None), None);
    assert_eq!(first, expected);
    assert!(second + 20 < first, "{second} of {first} blocks");
    assert_eq!(
        cost(&active, &signed_by(&credentials, Some(&wrong)), mismatch),
        expected,
        "derived"
    );
}

#[test]
fn version_2_unknown_key_costs_as_many_hash_blocks_as_a_wrong_signature() {
    let verifier = verifier(Status::Active);
    let signed = |access: &str| {
        Request::get("/b/k")
            .header("host", "h")
            .header("x-amz-date", "Fri, 02 Jan 2026 03:04:05 GMT")
            .header("authorization", format!("AWS {access}:qgk2+6Sv9/oM7G3qLEjTH1a1l1g="))
            .body(())
            .unwrap()
    };
    let wrong = cost(&verifier, &signed("KNOWN"), Some(S3ErrorCode::SignatureDoesNotMatch));
    let unknown = cost(&verifier, &signed("OTHER"), Some(S3ErrorCode::InvalidAccessKeyId));
    assert_eq!(wrong, unknown);
    assert!(wrong > 0);
}

#[test]
fn only_hosts_below_a_base_domain_name_buckets() {
    let mut verifier = verifier(Status::Active);
    let bucket = |verifier: &Verifier, host: &str| {
        let request = Request::get("/k").header("host", host).body(()).unwrap();
        verifier
            .signatures
            .bucket_of(RequestHead::from(&request))
            .unwrap_or_else(|_| Some("refused".into()))
    };
    assert_eq!(bucket(&verifier, "photos.s3.example.org"), None);
    verifier.signatures.base_domains =
        vec!["example.org".into(), "s3.example.org".into(), "localhost".into()];
    for (host, expected) in [
        ("photos.s3.example.org", Some("photos")),
        ("my.photos.S3.Example.org:8338", Some("my.photos")),
        ("b.localhost", Some("b")),
        ("Photos.localhost", Some("photos")),
        ("s3.example.org", Some("s3")),
        ("example.org", None),
        (".s3.example.org", Some("refused")),
        ("a/b.s3.example.org", Some("refused")),
        ("xexample.org", None),
        ("photos.s3.example.com", None),
        ("org", None),
    ] {
        assert_eq!(bucket(&verifier, host).as_deref(), expected, "{host}");
    }
}
