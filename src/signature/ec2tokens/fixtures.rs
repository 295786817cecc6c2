//! Signed requests of every version, for the tests.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{
    domain::{AccessKey, SecretKey},
    signature::{Ec2TokensRequest, SignatureError, signing_key::ALGORITHM},
};

pub(super) const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
pub(super) const ACCESS: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
pub(super) const TIME: &str = "2026-01-02T03:04:05Z";
pub(super) const BASIC_TIME: &str = "20260102T030405Z";
pub(super) const SCOPE: &str = "20260102/RegionOne/ec2/aws4_request";
pub(super) const HOST: &str = "cloud.example.test:8773";
pub(super) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(super) const V0: &str = "p+GXlSbcOT3rrJI+L6/WvEEwCE8=";
pub(super) const V1: &str = "9aaBUlIXo+bj2AWifdCwEIWkL64=";
pub(super) const V2: &str = "4GkcSNNCKBFxWjPyjK9nfADrSWc1G+sYtAQx5UdTIhU=";
pub(super) const V2_WITHOUT_PORT: &str = "a5U5ccE5hyvF9PWZ6M6JtJoonq/m1am83DllmY0QAzM=";
pub(super) const V4: &str = "46f376df97a5435c942a443bc8d171346e90a3462bce7d025ea3c2bf639904d8";

pub(super) type Map = BTreeMap<String, String>;

pub(super) fn map(pairs: &[(&str, &str)]) -> Map {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

pub(super) fn secret() -> SecretKey {
    SecretKey::from_stored(SECRET)
}

pub(super) fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_323_045)
}

pub(super) fn request(signature: &str, params: Map, headers: Map) -> Ec2TokensRequest {
    Ec2TokensRequest {
        access: AccessKey::from_stored(ACCESS),
        signature: signature.into(),
        verb: Some("GET".into()),
        host: Some(HOST.into()),
        path: Some("/services/Cloud".into()),
        params,
        headers,
        body_hash: Some(EMPTY.into()),
    }
}

pub(super) fn v0() -> Ec2TokensRequest {
    let params = [("SignatureVersion", "0"), ("Action", "DescribeInstances"), ("Timestamp", TIME)];
    Ec2TokensRequest {
        verb: None,
        host: None,
        path: None,
        body_hash: None,
        ..request(V0, map(&params), map(&[]))
    }
}

pub(super) fn v1() -> Ec2TokensRequest {
    let params = [
        ("SignatureVersion", "1"),
        ("Action", "DescribeInstances"),
        ("Timestamp", TIME),
        ("AWSAccessKeyId", ACCESS),
        ("Version", "2016-11-15"),
    ];
    Ec2TokensRequest {
        verb: None,
        host: None,
        path: None,
        body_hash: None,
        ..request(V1, map(&params), map(&[]))
    }
}

pub(super) fn v2() -> Ec2TokensRequest {
    let mut params = v1().params;
    params.extend(map(&[("SignatureVersion", "2"), ("Filter.1.Value", "a b/c~d*e")]));
    Ec2TokensRequest { body_hash: None, ..request(V2, params, map(&[])) }
}

pub(super) fn authorization(scope: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders=host;x-amz-date, Signature=00"
    )
}

pub(super) fn v4() -> Ec2TokensRequest {
    let params = [("Action", "DescribeInstances"), ("Version", "2016-11-15")];
    let headers =
        [("Host", HOST), ("X-Amz-Date", BASIC_TIME), ("Authorization", &authorization(SCOPE))];
    request(V4, map(&params), map(&headers))
}

/// Version 4 in the query.
pub(super) fn presigned() -> Ec2TokensRequest {
    let mut request = v4();
    request.headers = map(&[("host", HOST)]);
    request.params.extend(map(&[
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &format!("{ACCESS}/{SCOPE}")),
        ("X-Amz-Date", BASIC_TIME),
        ("X-Amz-SignedHeaders", "host"),
    ]));
    request.signature = sign_v4(
        SECRET,
        &format!(
            "GET\n/services/Cloud\nAction=DescribeInstances&Version=2016-11-15\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential={ACCESS}%2F20260102%2FRegionOne%2Fec2%2Faws4_request\
             &X-Amz-Date={BASIC_TIME}&X-Amz-SignedHeaders=host\nhost:{HOST}\n\nhost\n{EMPTY}"
        ),
    );
    request
}

pub(super) fn all() -> [Ec2TokensRequest; 5] {
    [v0(), v1(), v2(), v4(), presigned()]
}

pub(super) fn verifies(request: Ec2TokensRequest) -> bool {
    request.prepare().unwrap().verify(&secret())
}

pub(super) fn refusal(request: Ec2TokensRequest) -> Option<SignatureError> {
    request.prepare().err()
}

/// Signs with the hash crates only.
pub(super) fn sign_v4(secret: &str, canonical: &str) -> String {
    let hashed = HEXLOWER.encode(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{BASIC_TIME}\n{SCOPE}\n{hashed}");
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in SCOPE.split('/').chain([&*text]) {
        key = hmac::<Hmac<Sha256>>(&key, part);
    }
    HEXLOWER.encode(&key)
}

pub(super) fn hmac<M: Mac + KeyInit>(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
