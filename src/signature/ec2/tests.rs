use std::time::Duration;

use hmac::Hmac;
use proptest::prelude::*;
use sha1::Sha1;
use sha2::Sha256;

use super::{fixtures::*, *};
use crate::signature::{decoy, hash::count, is_fresh};

const TTL: Duration = Duration::from_mins(15);

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
fn header_names_are_found_in_any_case_but_not_twice() {
    let mut request = v4();
    request.headers = request.headers.into_iter().map(|(k, v)| (k.to_uppercase(), v)).collect();
    assert!(verifies(request.clone()));
    request.headers.insert("host".into(), "other.example.test".into());
    assert_eq!(refusal(request), Some(SignatureError::Malformed));
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
fn the_time_is_the_first_that_is_given_among_what_is_signed() {
    let freshness = |mut request: Ec2Request, stamps: [Option<&str>; 3]| {
        request.params.remove("Timestamp");
        for (name, stamp) in ["Timestamp", "X-Amz-Date", "Expires"].into_iter().zip(stamps) {
            request.params.extend(stamp.map(|stamp| (name.into(), stamp.into())));
        }
        // No header is signed: whoever replays the request may add one.
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
fn a_request_of_version_1_that_is_cut_up_anew_has_no_date() {
    // Names and values are signed without anything between them.
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
