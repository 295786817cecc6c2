use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::{
    super::fixtures::{AWS, AWS_SECRET, BOTO_V2, BOTO_V4, form, moment, secret, with},
    *,
};
use crate::signature::{decoy, hash::count};

const SECOND: Duration = Duration::from_secs(1);

fn find(fields: &[(&str, &str)]) -> Result<Option<SignedForm>, FormError> {
    SignedForm::find(&form(fields))
}

fn signed(fields: &[(&str, &str)]) -> SignedForm {
    find(fields).unwrap().unwrap()
}

#[test]
fn aws_documentation_form_is_accepted() {
    let signed = signed(&AWS);
    assert_eq!(signed.access(), "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(signed.scope().unwrap().to_string(), "20151229/us-east-1/s3/aws4_request");
    assert!(signed.verify(&SecretKey::from_stored(AWS_SECRET)));
    assert!(!signed.verify(&secret()));

    let noon = UNIX_EPOCH + Duration::from_hours(403_188);
    let form = form(&AWS);
    assert_eq!(form.key(), "user/user1/cat.jpg");
    for now in [noon - Duration::from_hours(36), noon] {
        assert_eq!(signed.check(&form, "sigv4examplebucket", now), Ok(0..=u64::MAX));
    }
    let later = signed.check(&form, "sigv4examplebucket", noon + SECOND);
    assert_eq!(later, Err(FormError::Expired));
    assert_eq!(signed.check(&form, "another", noon), Err(FormError::Condition));
}

#[test]
fn botocore_forms_are_accepted() {
    for fields in [&BOTO_V4[..], &BOTO_V2] {
        let signed = signed(fields);
        assert_eq!(signed.access(), "AKIAIOSFODNN7EXAMPLE");
        assert!(signed.verify(&secret()));
        let form = form(fields);
        assert_eq!(signed.check(&form, "bucket", moment() + 60 * SECOND), Ok(3..=9));
        let later = signed.check(&form, "bucket", moment() + 61 * SECOND);
        assert_eq!(later, Err(FormError::Expired));
    }
}

#[test]
fn signature_covers_secret_and_policy() {
    for (fields, name) in [(&BOTO_V4[..], "x-amz-signature"), (&BOTO_V2, "signature")] {
        for other in ["", " ", "0f1e2d3c4b5a69788796a5b4c3d2e1f1", AWS_SECRET] {
            assert!(!signed(fields).verify(&SecretKey::from_stored(other)), "{other}");
        }
        for other in ["", "e30=", "eyJleHBpcmF0aW9uIjog"] {
            let changed = with(fields, &[("policy", Some(other))]);
            assert!(!signed(&changed).verify(&secret()), "{other}");
        }
        let wrong =
            ["", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", &"0".repeat(64), &"0".repeat(63), "\u{e4}"];
        for wrong in wrong {
            let changed = with(fields, &[(name, Some(wrong))]);
            assert!(!signed(&changed).verify(&secret()), "{wrong}");
        }
    }
}

#[test]
fn derived_key_verifies_like_its_secret() {
    let form = signed(&BOTO_V4);
    let key = |secret: &SecretKey| SigningKey::derive(secret, &form.scope().unwrap());
    assert!(form.verify_with(&key(&secret())));
    assert!(!form.verify_with(&key(decoy())));
    let old = signed(&BOTO_V2);
    assert!(old.scope().is_none() && !old.verify_with(&key(&secret())));
}

#[test]
fn unsigned_form_is_anonymous() {
    let anonymous = find(&[("key", "a"), ("acl", "public-read"), ("x-amz-meta-a", "b")]).unwrap();
    assert!(anonymous.is_none());
}

#[test]
fn signature_must_be_complete_and_of_one_version() {
    for fields in [&BOTO_V4[..], &BOTO_V2] {
        for (name, _) in fields.iter().filter(|(name, _)| !["key", "acl"].contains(name)) {
            let less = with(fields, &[(name, None)]);
            assert_eq!(find(&less).unwrap_err(), FormError::Signature, "{name}");
        }
    }
    let both: Vec<_> = BOTO_V4.into_iter().chain(BOTO_V2.into_iter().skip(2)).collect();
    let both = with(&both, &[("policy", Some("e30="))]);
    assert_eq!(find(&both).unwrap_err(), FormError::Signature);
    assert_eq!(find(&[("key", "a"), ("policy", "e30=")]).unwrap_err(), FormError::Signature);
    let nobody = with(&BOTO_V2, &[("AWSAccessKeyId", Some(""))]);
    assert_eq!(find(&nobody).unwrap_err(), FormError::Signature);
}

#[test]
fn version_4_fields_must_agree() {
    for (name, value) in [
        ("x-amz-algorithm", "AWS4-HMAC-SHA512"),
        ("x-amz-algorithm", ""),
        ("x-amz-date", "20260103T030405Z"),
        ("x-amz-date", "2026-01-02T03:04:05Z"),
        ("x-amz-date", "20260102"),
        ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20260103/us-east-1/s3/aws4_request"),
        ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20260102/us-east-1/ec2/aws4_request"),
        ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20260102/us-east-1/s3"),
        ("x-amz-credential", "/20260102/us-east-1/s3/aws4_request"),
        ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE"),
    ] {
        let changed = with(&BOTO_V4, &[(name, Some(value))]);
        assert_eq!(find(&changed).unwrap_err(), FormError::Signature, "{value}");
    }
}

#[test]
fn policy_must_be_padded_base64() {
    for bad in ["", "e30", "e30=", "bnVsbA==", "!", "e30=\n", "_-8="] {
        let changed = with(&BOTO_V2, &[("policy", Some(bad))]);
        let checked = signed(&changed).check(&form(&changed), "bucket", moment());
        assert_eq!(checked, Err(FormError::Policy), "{bad}");
    }
}

#[test]
fn decoy_costs_as_many_hash_blocks_as_a_wrong_signature() {
    for fields in [&BOTO_V4[..], &BOTO_V2] {
        let cost = |secret: &SecretKey| {
            let form = signed(fields);
            count::blocks_of(|| form.verify(secret))
        };
        let expected = cost(&secret());
        assert!(expected > 4);
        assert_eq!(cost(decoy()), expected);
        assert_eq!(cost(&SecretKey::from_stored("s".repeat(256))), expected);
    }
}

#[test]
fn debug_shows_neither_policy_nor_signature() {
    let text = format!("{:?}", signed(&BOTO_V4));
    assert_eq!(text, "SignedForm { access: \"AKIAIOSFODNN7EXAMPLE\", .. }");
}

proptest! {
    #[test]
    fn parsing_a_field_never_panics(name in 2..7_usize, value in ".{0,80}") {
        let changed = with(&BOTO_V4, &[(BOTO_V4[name].0, Some(&value))]);
        if let Ok(Some(signed)) = find(&changed) {
            let _ = (signed.verify(decoy()), signed.check(&form(&changed), "b", moment()));
        }
    }
}
