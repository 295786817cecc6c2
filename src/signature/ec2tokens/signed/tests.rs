use std::time::Duration;

use data_encoding::BASE64;
use hmac::Hmac;
use proptest::prelude::*;
use sha1::Sha1;
use sha2::Sha256;

use super::{super::fixtures::*, *};
use crate::signature::{decoy, hash::count, is_fresh};

const MAX_SKEW: Duration = Duration::from_mins(15);

#[test]
fn every_vector_verifies_and_returns_its_time() {
    for request in all() {
        let signed = request.prepare().unwrap();
        assert!(signed.verify(&secret()));
        assert_eq!(signed.signed_at(), Some(moment()));
        assert_eq!(signed.access().as_str(), ACCESS);
    }
}

#[test]
fn version_2_verifies_without_the_port_of_the_host() {
    assert!(verifies(Ec2TokensRequest { signature: V2_WITHOUT_PORT.into(), ..v2() }));
    let host = Some("cloud.example.test".to_owned());
    let portless =
        Ec2TokensRequest { signature: V2_WITHOUT_PORT.into(), host: host.clone(), ..v2() };
    assert!(verifies(portless));
    // A missing port is not added.
    assert!(!verifies(Ec2TokensRequest { host, ..v2() }));
    assert!(!verifies(Ec2TokensRequest { host: Some("cloud.example.test:x".into()), ..v2() }));
    assert_eq!(without_port("[::1]:80"), Some("[::1]"));
    assert_eq!(without_port("[::1]"), None);
}

#[test]
fn signature_parameter_is_not_signed() {
    for mut request in all() {
        request.params.extend(map(&[("Signature", "x"), ("X-Amz-Signature", "y")]));
        assert!(verifies(request));
    }
}

#[test]
fn version_2_method_is_fixed_whatever_the_client_sends() {
    for method in ["HmacSHA1", "HmacSHA256", ""] {
        let mut request = v2();
        request.params.insert("SignatureMethod".into(), method.into());
        assert!(verifies(request), "{method}");
    }
}

#[test]
fn signature_for_another_secret_verb_host_path_or_parameter_is_rejected() {
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
        assert!(!verifies(Ec2TokensRequest { verb: Some("PUT".into()), ..request.clone() }));
        assert!(!verifies(Ec2TokensRequest { path: Some("/".into()), ..request.clone() }));
        let mut changed = Ec2TokensRequest { host: Some("x.example.test".into()), ..request };
        for (_, value) in changed.headers.iter_mut().filter(|(name, _)| *name != "Authorization") {
            *value = value.replace("cloud", "x");
        }
        assert!(!verifies(changed));
    }
    assert!(!verifies(Ec2TokensRequest { body_hash: Some("0".repeat(64)), ..v4() }));
    for other in [SCOPE.replace("One", "Two"), SCOPE.replace("ec2", "s3")] {
        let mut request = v4();
        request.headers.insert("Authorization".into(), authorization(&other));
        assert!(!verifies(request), "{other}");
    }
}

#[test]
fn invalid_signature_never_verifies() {
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
                    !verifies(Ec2TokensRequest { signature: bad.into(), ..request.clone() }),
                    "{bad}"
                );
            }
        }
    }
    // The same bytes, in non-canonical base64.
    assert!(!verifies(Ec2TokensRequest { signature: V2.replace("U=", "V="), ..v2() }));
}

#[test]
fn missing_part_of_a_version_is_incomplete() {
    let incomplete = Some(SignatureError::Incomplete);
    for request in [v2(), v4(), presigned()] {
        assert_eq!(refusal(Ec2TokensRequest { verb: None, ..request.clone() }), incomplete);
        assert_eq!(refusal(Ec2TokensRequest { host: None, ..request.clone() }), incomplete);
        assert_eq!(refusal(Ec2TokensRequest { path: None, ..request }), incomplete);
    }
    for mut request in [v4(), presigned()] {
        assert_eq!(refusal(Ec2TokensRequest { body_hash: None, ..request.clone() }), incomplete);
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
fn header_names_match_in_any_case_but_not_twice() {
    let mut request = v4();
    request.headers = request.headers.into_iter().map(|(k, v)| (k.to_uppercase(), v)).collect();
    assert!(verifies(request.clone()));
    request.headers.insert("host".into(), "other.example.test".into());
    assert_eq!(refusal(request), Some(SignatureError::Malformed));
}

#[test]
fn line_break_in_a_signed_part_is_rejected() {
    for request in [v2(), v4()] {
        let broken = Some("a\nb".to_owned());
        for request in [
            Ec2TokensRequest { verb: broken.clone(), ..request.clone() },
            Ec2TokensRequest { host: broken.clone(), ..request.clone() },
            Ec2TokensRequest { path: broken, ..request },
        ] {
            assert_eq!(refusal(request), Some(SignatureError::Malformed));
        }
    }
    let mut request = v4();
    request.headers.insert("Host".into(), "a\nx-amz-date:b".into());
    assert_eq!(refusal(request), Some(SignatureError::Malformed));
}

#[test]
fn time_is_the_first_of_the_signed_parts() {
    let freshness = |mut request: Ec2TokensRequest, stamps: [Option<&str>; 3]| {
        request.params.remove("Timestamp");
        for (name, stamp) in ["Timestamp", "X-Amz-Date", "Expires"].into_iter().zip(stamps) {
            request.params.extend(stamp.map(|stamp| (name.into(), stamp.into())));
        }
        // No header is signed: a replay may add one.
        request.headers.insert("X-Amz-Date".into(), BASIC_TIME.into());
        request.prepare().map(|signed| signed.freshness())
    };
    let (own, other) = (Some(BASIC_TIME), Some("2020-01-01T00:00:00Z"));
    for stamps in [[own, other, other], [None, own, other]] {
        assert_eq!(freshness(v1(), stamps), Ok(Freshness::At(moment())), "{stamps:?}");
    }
    assert_eq!(freshness(v1(), [None, None, own]), Ok(Freshness::Until(moment())));
    assert_eq!(freshness(v1(), [None; 3]), Ok(Freshness::Unknown));
    for stamps in [[Some("now"), own, own], [Some(""), own, own], [None, Some("1"), own]] {
        assert_eq!(freshness(v1(), stamps), Err(SignatureError::Malformed), "{stamps:?}");
    }
}

#[test]
fn version_1_request_with_shifted_boundaries_has_no_date() {
    // Names and values are signed without separators.
    let mut request = v1();
    let name = format!("ActionDescribeInstancesAWSAccessKeyId{}", request.access);
    let end = format!("Timestamp{TIME}Version2016-11-15");
    request.params = [(name, ""), ("SignatureVersion".into(), "1"), (end, "")]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
    request.headers.insert("X-Amz-Date".into(), BASIC_TIME.into());
    let signed = request.prepare().unwrap();
    assert!(signed.verify(&secret()));
    assert_eq!(signed.freshness(), Freshness::Unknown);
}

#[test]
fn request_expires_one_second_after_the_clock_skew() {
    for request in all() {
        let freshness = request.prepare().unwrap().freshness();
        assert!(is_fresh(freshness, moment() + MAX_SKEW, MAX_SKEW));
        assert!(!is_fresh(freshness, moment() + MAX_SKEW + Duration::from_secs(1), MAX_SKEW));
    }
}

#[test]
fn decoy_costs_as_many_hash_blocks_as_a_wrong_signature() {
    for request in all() {
        let cost = |signature: &str, secret: &SecretKey| {
            let request = Ec2TokensRequest { signature: signature.into(), ..request.clone() };
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
fn debug_shows_no_signature() {
    let expected = format!(" {{ access: AccessKey(\"{ACCESS}\"), .. }}");
    assert_eq!(format!("{:?}", v4()), format!("Ec2TokensRequest{expected}"));
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
    fn preparing_a_request_never_panics(
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
        let request = Ec2TokensRequest {
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
    fn signed_request_verifies_and_every_changed_byte_fails(
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
            let changed = Ec2TokensRequest { signature, ..request.clone() };
            prop_assert!(!changed.prepare().unwrap().verify(&key));

            let mut changed = request.clone();
            changed.params.insert("Action".into(), flipped(&value));
            prop_assert!(!changed.prepare().unwrap().verify(&key));
        }
    }
}
