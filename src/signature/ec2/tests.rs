use std::time::{Duration, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::*;
use crate::signature::{decoy, hash::count, is_fresh};

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const ACCESS: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
const TIME: &str = "2026-01-02T03:04:05Z";
const BASIC_TIME: &str = "20260102T030405Z";
const SCOPE: &str = "20260102/RegionOne/ec2/aws4_request";
const HOST: &str = "cloud.example.test:8773";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TTL: Duration = Duration::from_mins(15);

const V0: &str = "p+GXlSbcOT3rrJI+L6/WvEEwCE8=";
const V1: &str = "9aaBUlIXo+bj2AWifdCwEIWkL64=";
const V2: &str = "4GkcSNNCKBFxWjPyjK9nfADrSWc1G+sYtAQx5UdTIhU=";
const V2_WITHOUT_PORT: &str = "a5U5ccE5hyvF9PWZ6M6JtJoonq/m1am83DllmY0QAzM=";
const V4: &str = "46f376df97a5435c942a443bc8d171346e90a3462bce7d025ea3c2bf639904d8";

type Map = BTreeMap<String, String>;

fn map(pairs: &[(&str, &str)]) -> Map {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn secret() -> SecretKey {
    SecretKey::from_stored(SECRET)
}

fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_323_045)
}

fn request(signature: &str, params: Map, headers: Map) -> Ec2Request {
    Ec2Request {
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

fn v0() -> Ec2Request {
    let params = [("SignatureVersion", "0"), ("Action", "DescribeInstances"), ("Timestamp", TIME)];
    Ec2Request {
        verb: None,
        host: None,
        path: None,
        body_hash: None,
        ..request(V0, map(&params), map(&[]))
    }
}

fn v1() -> Ec2Request {
    let params = [
        ("SignatureVersion", "1"),
        ("Action", "DescribeInstances"),
        ("Timestamp", TIME),
        ("AWSAccessKeyId", ACCESS),
        ("Version", "2016-11-15"),
    ];
    Ec2Request {
        verb: None,
        host: None,
        path: None,
        body_hash: None,
        ..request(V1, map(&params), map(&[]))
    }
}

fn v2() -> Ec2Request {
    let mut params = v1().params;
    params.extend(map(&[("SignatureVersion", "2"), ("Filter.1.Value", "a b/c~d*e")]));
    Ec2Request { body_hash: None, ..request(V2, params, map(&[])) }
}

fn authorization(scope: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders=host;x-amz-date, Signature=00"
    )
}

fn v4() -> Ec2Request {
    let params = [("Action", "DescribeInstances"), ("Version", "2016-11-15")];
    let headers =
        [("Host", HOST), ("X-Amz-Date", BASIC_TIME), ("Authorization", &authorization(SCOPE))];
    request(V4, map(&params), map(&headers))
}

/// Version 4 in the query.
fn presigned() -> Ec2Request {
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

fn all() -> [Ec2Request; 5] {
    [v0(), v1(), v2(), v4(), presigned()]
}

fn verifies(request: Ec2Request) -> bool {
    request.prepare().unwrap().verify(&secret())
}

fn refusal(request: Ec2Request) -> Option<SignatureError> {
    request.prepare().err()
}

/// Signs with the crates of hashes alone.
fn sign_v4(secret: &str, canonical: &str) -> String {
    let hashed = HEXLOWER.encode(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{BASIC_TIME}\n{SCOPE}\n{hashed}");
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in SCOPE.split('/').chain([&*text]) {
        key = hmac::<Hmac<Sha256>>(&key, part);
    }
    HEXLOWER.encode(&key)
}

fn hmac<M: Mac + KeyInit>(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn every_vector_verifies_and_tells_its_time() {
    for request in all() {
        let signed = request.prepare().unwrap();
        assert!(signed.verify(&secret()));
        assert_eq!(signed.signed_at(), Some(moment()));
        assert_eq!(signed.access().as_str(), ACCESS);
    }
}

#[test]
fn version_2_verifies_without_the_port_of_the_host() {
    assert!(verifies(Ec2Request { signature: V2_WITHOUT_PORT.into(), ..v2() }));
    let host = Some("cloud.example.test".to_owned());
    let portless = Ec2Request { signature: V2_WITHOUT_PORT.into(), host: host.clone(), ..v2() };
    assert!(verifies(portless));
    // What is not there is not made up.
    assert!(!verifies(Ec2Request { host, ..v2() }));
    assert!(!verifies(Ec2Request { host: Some("cloud.example.test:x".into()), ..v2() }));
    assert_eq!(without_port("[::1]:80"), Some("[::1]"));
    assert_eq!(without_port("[::1]"), None);
}

#[test]
fn the_signature_is_not_among_what_was_signed() {
    for mut request in all() {
        request.params.extend(map(&[("Signature", "x"), ("X-Amz-Signature", "y")]));
        assert!(verifies(request));
    }
}

#[test]
fn the_method_of_version_2_is_what_it_must_be_whatever_the_client_says() {
    for method in ["HmacSHA1", "HmacSHA256", ""] {
        let mut request = v2();
        request.params.insert("SignatureMethod".into(), method.into());
        assert!(verifies(request), "{method}");
    }
}

#[test]
fn a_signature_for_another_secret_verb_host_path_or_parameter_is_refused() {
    for request in all() {
        for other in ["", "x", &SECRET.to_uppercase()] {
            let other = SecretKey::from_stored(other);
            assert!(!request.clone().prepare().unwrap().verify(&other));
        }
        let mut changed = request.clone();
        changed.params.insert("Action".into(), "RunInstances".into());
        assert!(!verifies(changed));
    }
    for request in [v2(), v4(), presigned()] {
        assert!(!verifies(Ec2Request { verb: Some("PUT".into()), ..request.clone() }));
        assert!(!verifies(Ec2Request { path: Some("/".into()), ..request.clone() }));
        let mut changed = Ec2Request { host: Some("x.example.test".into()), ..request };
        for (_, value) in changed.headers.iter_mut().filter(|(name, _)| *name != "Authorization") {
            *value = value.replace("cloud", "x");
        }
        assert!(!verifies(changed));
    }
    assert!(!verifies(Ec2Request { body_hash: Some("0".repeat(64)), ..v4() }));
    for other in [SCOPE.replace("One", "Two"), SCOPE.replace("ec2", "s3")] {
        let mut request = v4();
        request.headers.insert("Authorization".into(), authorization(&other));
        assert!(!verifies(request), "{other}");
    }
}

#[test]
fn a_signature_that_cannot_be_one_never_verifies() {
    for request in all() {
        let own = request.signature.clone();
        for bad in [
            "",
            "ä",
            " ",
            &own[1..],
            &format!("{own} "),
            &own.to_uppercase(),
            &own.replace('=', ""),
        ] {
            if *bad != own {
                assert!(
                    !verifies(Ec2Request { signature: bad.into(), ..request.clone() }),
                    "{bad}"
                );
            }
        }
    }
    // The same bytes, in base64 that no encoder makes.
    assert!(!verifies(Ec2Request { signature: V2.replace("U=", "V="), ..v2() }));
}

#[test]
fn what_a_version_needs_must_be_there() {
    let incomplete = Some(SignatureError::Incomplete);
    for request in [v2(), v4(), presigned()] {
        assert_eq!(refusal(Ec2Request { verb: None, ..request.clone() }), incomplete);
        assert_eq!(refusal(Ec2Request { host: None, ..request.clone() }), incomplete);
        assert_eq!(refusal(Ec2Request { path: None, ..request }), incomplete);
    }
    for mut request in [v4(), presigned()] {
        assert_eq!(refusal(Ec2Request { body_hash: None, ..request.clone() }), incomplete);
        request.headers.remove("X-Amz-Date");
        request.params.remove("X-Amz-Date");
        assert_eq!(refusal(request), incomplete);
    }
    for name in ["Action", "Timestamp"] {
        let mut request = v0();
        request.params.remove(name);
        assert_eq!(refusal(request), incomplete);
    }
    for version in [None, Some("3"), Some(""), Some("4"), Some("2 ")] {
        let mut request = v1();
        request.params.remove("SignatureVersion");
        request.params.extend(version.map(|version| ("SignatureVersion".into(), version.into())));
        assert_eq!(refusal(request.clone()), incomplete, "{version:?}");
        request.headers.insert("Authorization".into(), "Bearer x".into());
        assert_eq!(refusal(request), incomplete, "{version:?}");
    }
}

#[test]
fn a_version_4_authorization_has_exactly_its_form() {
    let day = SCOPE.replace("0102", "0103");
    let own = format!("{ACCESS}/{SCOPE}");
    for credential in [
        "",
        SCOPE,
        &format!("/{SCOPE}"),
        &format!("other/{SCOPE}"),
        &format!("{}/{SCOPE}", ACCESS.to_uppercase()),
        &format!("a/{own}"),
        &format!("{own}/"),
        &format!("{ACCESS}/{day}"),
        &own.replace("/ec2", ""),
        &own.replace("ec2", "ec2/x"),
        &own.replace("aws4_request", "aws5_request"),
        &own.replace("ec2", "ec2\n"),
    ] {
        let mut header = v4();
        let value = authorization(SCOPE).replace(&own, credential);
        header.headers.insert("Authorization".into(), value);
        let mut query = presigned();
        query.params.insert("X-Amz-Credential".into(), credential.into());
        for request in [header, query] {
            assert_eq!(refusal(request), Some(SignatureError::Malformed), "{credential}");
        }
    }
    for value in [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 Credential",
        &format!("AWS4-HMAC-SHA256 Credential={own}"),
        "AWS4-HMAC-SHA256 SignedHeaders=host",
        &authorization(SCOPE).replace("SHA256 ", "SHA256-PAYLOAD "),
        &authorization(SCOPE).replace(", Signature=00", ", SignedHeaders=host"),
    ] {
        let mut request = v4();
        request.headers.insert("Authorization".into(), value.into());
        assert_eq!(refusal(request), Some(SignatureError::Malformed), "{value}");
    }
}

#[test]
fn header_names_are_found_in_any_case_but_not_twice() {
    let mut request = v4();
    request.headers = request.headers.into_iter().map(|(k, v)| (k.to_uppercase(), v)).collect();
    assert!(verifies(request.clone()));
    request.headers.insert("host".into(), "other.example.test".into());
    assert_eq!(refusal(request), Some(SignatureError::Malformed));
}

#[test]
fn signed_headers_are_trimmed_and_skipped_if_absent() {
    let mut request = v4();
    request.headers.insert("Host".into(), format!("  {HOST}\t"));
    assert!(verifies(request.clone()));
    let canonical = |headers: &str| {
        let names = "host;x-amz-date;x-gone";
        format!(
            "GET\n/services/Cloud\nAction=DescribeInstances&Version=2016-11-15\n\
             {headers}\n\n{names}\n{EMPTY}"
        )
    };
    let value = authorization(SCOPE).replace("x-amz-date", "x-amz-date;x-gone");
    request.headers.insert("Authorization".into(), value);
    request.signature =
        sign_v4(SECRET, &canonical(&format!("host:{HOST}\nx-amz-date:{BASIC_TIME}")));
    assert!(verifies(request.clone()));

    // None at all leaves the line that they would stand in.
    request.headers = map(&[]);
    request.params.extend(map(&[
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &format!("{ACCESS}/{SCOPE}")),
        ("X-Amz-Date", BASIC_TIME),
        ("X-Amz-SignedHeaders", "host;x-amz-date;x-gone"),
    ]));
    request.verb = Some("post".into());
    let names = "host;x-amz-date;x-gone";
    request.signature = sign_v4(SECRET, &format!("POST\n/services/Cloud\n\n\n\n{names}\n{EMPTY}"));
    assert!(verifies(request));
}

#[test]
fn a_post_signs_no_query_in_version_4() {
    let canonical = format!(
        "POST\n/services/Cloud\n\nhost:{HOST}\nx-amz-date:{BASIC_TIME}\n\n\
         host;x-amz-date\n{EMPTY}"
    );
    let signature = sign_v4(SECRET, &canonical);
    assert!(verifies(Ec2Request { verb: Some("POST".into()), signature, ..v4() }));
}

#[test]
fn old_versions_of_boto_sign_the_host_without_its_port() {
    let canonical = format!(
        "GET\n/services/Cloud\nAction=DescribeInstances&Version=2016-11-15\n\
         host:cloud.example.test\nx-amz-date:{BASIC_TIME}\n\nhost;x-amz-date\n{EMPTY}"
    );
    let mut request = Ec2Request { signature: sign_v4(SECRET, &canonical), ..v4() };
    assert!(!verifies(request.clone()));
    request.headers.insert("user-agent".into(), "Boto/2.9.2 (linux)".into());
    assert!(verifies(request.clone()));
    request.headers.insert("user-agent".into(), "Boto/2.9.3 (linux)".into());
    assert!(!verifies(request));
}

#[test]
fn a_line_break_cannot_stand_in_what_is_signed() {
    for request in [v2(), v4()] {
        let broken = Some("a\nb".to_owned());
        for request in [
            Ec2Request { verb: broken.clone(), ..request.clone() },
            Ec2Request { host: broken.clone(), ..request.clone() },
            Ec2Request { path: broken, ..request },
        ] {
            assert_eq!(refusal(request), Some(SignatureError::Malformed));
        }
    }
    let mut request = v4();
    request.headers.insert("Host".into(), "a\nx-amz-date:b".into());
    assert_eq!(refusal(request), Some(SignatureError::Malformed));
}

#[test]
fn the_time_is_the_first_that_is_given() {
    let freshness = |mut request: Ec2Request, stamps: [Option<&str>; 3]| {
        let [param, header, amz] = stamps;
        request.params.remove("Timestamp");
        request.params.extend(param.map(|stamp| ("Timestamp".into(), stamp.into())));
        request.headers.extend(header.map(|stamp| ("x-amz-date".into(), stamp.into())));
        request.params.extend(amz.map(|stamp| ("X-Amz-Date".into(), stamp.into())));
        request.prepare().map(|signed| signed.freshness())
    };
    let (own, other) = (Some(BASIC_TIME), Some("2020-01-01T00:00:00Z"));
    for stamps in [[own, other, other], [None, own, other], [None, None, own]] {
        assert_eq!(freshness(v1(), stamps), Ok(Freshness::At(moment())), "{stamps:?}");
    }
    assert_eq!(freshness(v1(), [None; 3]), Ok(Freshness::Unknown));
    for stamps in [[Some("now"), own, own], [Some(""), own, own], [None, Some("1"), own]] {
        assert_eq!(freshness(v1(), stamps), Err(SignatureError::Malformed), "{stamps:?}");
    }
}

#[test]
fn a_replay_of_version_4_cannot_bring_its_own_time() {
    let canonical = format!(
        "POST\n/services/Cloud\n\nhost:{HOST}\nx-amz-date:{BASIC_TIME}\n\n\
         host;x-amz-date\n{EMPTY}"
    );
    let signature = sign_v4(SECRET, &canonical);
    let mut request = Ec2Request { verb: Some("POST".into()), signature, ..v4() };
    request.params.insert("Timestamp".into(), "2026-06-01T00:00:00Z".into());
    let signed = request.prepare().unwrap();
    assert!(signed.verify(&secret()));
    assert_eq!(signed.freshness(), Freshness::At(moment()));
}

#[test]
fn a_request_cannot_be_replayed_a_second_after_its_time() {
    for request in all() {
        let freshness = request.prepare().unwrap().freshness();
        assert!(is_fresh(freshness, moment() + TTL, TTL));
        assert!(!is_fresh(freshness, moment() + TTL + Duration::from_secs(1), TTL));
    }
}

#[test]
fn a_decoy_costs_as_many_hash_blocks_as_a_wrong_signature() {
    for request in all() {
        let cost = |signature: &str, secret: &SecretKey| {
            let request = Ec2Request { signature: signature.into(), ..request.clone() };
            let signed = request.prepare().unwrap();
            count::blocks_of(|| assert!(!signed.verify(secret)))
        };
        let digit = if request.signature.starts_with('0') { "1" } else { "0" };
        let wrong = format!("{digit}{}", &request.signature[1..]);
        let expected = cost(&wrong, &secret());
        assert!(expected > 4);
        assert_eq!(cost(&wrong, decoy()), expected);
        assert_eq!(cost("", decoy()), expected, "no signature");
        assert_eq!(cost(&wrong, &SecretKey::from_stored("s".repeat(256))), expected);
    }
}

#[test]
fn debug_tells_no_signature() {
    let expected = format!(" {{ access: AccessKey(\"{ACCESS}\"), .. }}");
    assert_eq!(format!("{:?}", v4()), format!("Ec2Request{expected}"));
    assert_eq!(format!("{:?}", v4().prepare().unwrap()), format!("Ec2Signed{expected}"));
}

fn any_map() -> impl Strategy<Value = Map> {
    let name = prop_oneof![
        Just("Action".to_owned()),
        Just("Timestamp".to_owned()),
        Just("X-Amz-Date".to_owned()),
        Just("X-Amz-Credential".to_owned()),
        Just("Authorization".to_owned()),
        ".{0,9}",
    ];
    let value = prop_oneof![Just(BASIC_TIME.to_owned()), Just(authorization(SCOPE)), ".{0,30}"];
    proptest::collection::btree_map(name, value, 0..8)
}

proptest! {
    #[test]
    fn no_request_makes_preparing_panic(
        mut params in any_map(),
        headers in any_map(),
        text in proptest::option::of(".{0,9}"),
        version in prop_oneof![Just("0"), Just("1"), Just("2"), Just("4")],
        signature in ".{0,70}",
    ) {
        params.insert("SignatureVersion".into(), version.into());
        if version == "4" {
            params.insert("X-Amz-Algorithm".into(), ALGORITHM.into());
        }
        let request = Ec2Request {
            verb: text.clone(),
            host: text.clone(),
            path: text,
            ..request(&signature, params, headers)
        };
        if let Ok(signed) = request.prepare() {
            prop_assert!(!signed.verify(decoy()));
        }
    }

    #[test]
    fn what_is_signed_verifies_and_no_byte_can_change(
        secret in "[!-~]{1,90}",
        value in "[A-Za-z0-9]{1,20}",
        at in any::<prop::sample::Index>(),
        flip in 1..128_u8,
    ) {
        let old = [("Action", &*value), ("SignatureVersion", "1"), ("b", "1"), ("C", "2")];
        let text = format!("Action{value}b1C2SignatureVersion1");
        let v1 = request(&BASE64.encode(&hmac::<Hmac<Sha1>>(secret.as_bytes(), &text)), map(&old), map(&[]));

        let query = [("Action", &*value), ("SignatureVersion", "2")];
        let text = format!("GET\n{HOST}\n/services/Cloud\nAction={value}&SignatureMethod=HmacSHA256&SignatureVersion=2");
        let v2 = request(&BASE64.encode(&hmac::<Hmac<Sha256>>(secret.as_bytes(), &text)), map(&query), map(&[]));

        let canonical = format!(
            "GET\n/services/Cloud\nAction={value}\nhost:{HOST}\nx-amz-date:{BASIC_TIME}\n\nhost;x-amz-date\n{EMPTY}"
        );
        let v4 = request(&sign_v4(&secret, &canonical), map(&[("Action", &value)]), v4().headers);

        let key = SecretKey::from_stored(secret);
        for request in [v1, v2, v4] {
            prop_assert!(request.clone().prepare().unwrap().verify(&key));

            let flipped = |text: &str| {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at.index(text.len())] ^= flip;
                String::from_utf8(bytes).unwrap()
            };
            let signature = flipped(&request.signature);
            let changed = Ec2Request { signature, ..request.clone() };
            prop_assert!(!changed.prepare().unwrap().verify(&key));

            let mut changed = request.clone();
            changed.params.insert("Action".into(), flipped(&value));
            prop_assert!(!changed.prepare().unwrap().verify(&key));
        }
    }
}
