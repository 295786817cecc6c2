use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::signature::form::fixtures::{form, moment};

/// A policy of these conditions and those that every form needs.
fn policy(conditions: &str) -> Result<Policy, FormError> {
    let comma = if conditions.is_empty() { "" } else { "," };
    let text = format!(
        r#"{{"expiration":"2026-01-02T03:04:05Z","conditions":[{{"bucket":"b"}},["eq","$key","k"]{comma}{conditions}]}}"#
    );
    Policy::parse(text.as_bytes())
}

/// Checks a form with a key and this field against these conditions.
fn checked(conditions: &str, name: &str, value: &str) -> Result<(), FormError> {
    let form = form(&[("key", "k"), (name, value)]);
    policy(conditions).unwrap().check(&form, "b", moment()).map(|_| ())
}

#[test]
fn policy_has_exactly_one_form() {
    let good = r#"{"expiration":"2026-01-02T03:04:05Z","conditions":[]}"#;
    assert!(Policy::parse(good.as_bytes()).is_ok());
    assert!(Policy::parse(format!("\r\n {good}\n").as_bytes()).is_ok());
    for bad in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"expiration":"2026-01-02T03:04:05Z"}"#,
        r#"{"conditions":[]}"#,
        r#"{"EXPIRATION":"2026-01-02T03:04:05Z","conditions":[]}"#,
        r#"{"expiration":"2026-01-02T03:04:05Z","Conditions":[]}"#,
        r#"{"expiration":"2026-01-02T03:04:05Z","conditions":{}}"#,
        r#"{"expiration":"2026-01-02T03:04:05Z","conditions":[],"x":1}"#,
        r#"{"expiration":"2026-01-02T03:04:05Z","conditions":[],"conditions":[]}"#,
        r#"{"expiration":"2026-01-02T03:04:05Z","expiration":"2036-01-02T03:04:05Z","conditions":[]}"#,
        r#"{"expiration":1767323045,"conditions":[]}"#,
        r#"{"expiration":"","conditions":[]}"#,
        r#"{"expiration":"tomorrow","conditions":[]}"#,
        r#"{"expiration":"2026-01-02 03:04:05","conditions":[]}"#,
        &format!("{good}x"),
        &good[1..],
    ] {
        assert_eq!(Policy::parse(bad.as_bytes()).unwrap_err(), FormError::Policy, "{bad}");
    }
    assert!(Policy::parse(b"{\"expiration\":\"\xff\"}").is_err());
}

#[test]
fn condition_has_exactly_one_form() {
    for good in [
        r#"{"acl":"x"}"#,
        r#"["eq","$acl","x"]"#,
        r#"["EQ","$ACL","x"]"#,
        r#"["StArTs-WiTh","$acl",""]"#,
        r#"["content-length-range",0,0]"#,
        r#"["Content-Length-Range",5,18446744073709551615]"#,
    ] {
        assert!(policy(good).is_ok(), "{good}");
    }
    for bad in [
        "{}",
        "[]",
        "null",
        "1",
        r#""eq""#,
        r#"{"acl":1}"#,
        r#"{"acl":null}"#,
        r#"{"acl":["x"]}"#,
        r#"{"acl":"x","key":"k"}"#,
        r#"{"acl":"x","acl":"x"}"#,
        r#"["eq"]"#,
        r#"["eq","$acl"]"#,
        r#"["eq","acl","x"]"#,
        r#"["eq","$acl",1]"#,
        r#"["eq","$acl","x","y"]"#,
        r#"["ends-with","$acl","x"]"#,
        r#"["content-length-range"]"#,
        r#"["content-length-range",0]"#,
        r#"["content-length-range",-1,0]"#,
        r#"["content-length-range",0.5,1]"#,
        r#"["content-length-range","0","1"]"#,
        r#"["content-length-range",2,1]"#,
        r#"["content-length-range",0,1,2]"#,
        r#"["content-length-range",0,18446744073709551616]"#,
    ] {
        assert_eq!(policy(bad).unwrap_err(), FormError::Policy, "{bad}");
    }
}

#[test]
fn conditions_apply_to_the_field_they_name() {
    for (condition, name, value) in [
        (r#"{"acl":"x"}"#, "acl", "x"),
        (r#"{"AcL":"x"}"#, "aCl", "x"),
        (r#"["eq","$acl","x"]"#, "acl", "x"),
        (r#"["starts-with","$acl","x"]"#, "acl", "xy"),
        (r#"["starts-with","$acl",""]"#, "acl", "anything"),
        (r#"["starts-with","$acl",""]"#, "acl", ""),
        (r#"["starts-with","$Content-Type","image/"]"#, "Content-Type", "image/jpeg"),
        (r#"["starts-with","$Content-Type","image/"]"#, "Content-Type", "image/a, image/b"),
        (r#"["starts-with","$acl","a"],["starts-with","$acl","ab"]"#, "acl", "abc"),
    ] {
        assert_eq!(checked(condition, name, value), Ok(()), "{condition} {value}");
    }
    for (condition, name, value) in [
        (r#"{"acl":"x"}"#, "acl", "X"),
        (r#"{"acl":"x"}"#, "acl", "xy"),
        (r#"["eq","$acl","x"]"#, "acl", ""),
        (r#"["eq","$acl","x"]"#, "x-ignore-acl", "x"),
        (r#"["starts-with","$acl","x"]"#, "acl", "yx"),
        (r#"["starts-with","$Content-Type","image/"]"#, "Content-Type", "image/a,text/html"),
        (r#"["starts-with","$Content-Type","image/"]"#, "x-ignore-type", "image/a"),
        (r#"{"acl":"a"},{"acl":"b"}"#, "acl", "a"),
        (r#"["starts-with","$acl","a"],["starts-with","$acl","ab"]"#, "acl", "ac"),
    ] {
        assert_eq!(
            checked(condition, name, value),
            Err(FormError::Condition),
            "{condition} {value}"
        );
    }
}

#[test]
fn every_field_needs_a_condition_except_signature_and_ignored_fields() {
    for name in [
        "policy",
        "Policy",
        "AWSAccessKeyId",
        "signature",
        "X-Amz-Signature",
        "x-ignore-",
        "X-Ignore-A",
    ] {
        assert_eq!(checked("", name, "x"), Ok(()), "{name}");
    }
    for name in ["acl", "x-amz-meta-a", "x-amz-date", "x-amz-credential", "submit", "", "x-ignore"]
    {
        assert_eq!(checked("", name, "x"), Err(FormError::ExtraField), "{name}");
    }
    // A length range covers no field, whatever its name.
    let range = r#"["content-length-range",0,1]"#;
    assert_eq!(checked(range, "content-length-range", "1"), Err(FormError::ExtraField));
}

#[test]
fn policy_applies_to_its_bucket_whatever_the_form_contains() {
    let form = form(&[("key", "k")]);
    let policy = policy("").unwrap();
    assert!(policy.check(&form, "b", moment()).is_ok());
    assert_eq!(policy.check(&form, "B", moment()), Err(FormError::Condition));
    assert_eq!(checked("", "bucket", "b"), Ok(()));
    assert_eq!(checked("", "bucket", "c"), Err(FormError::Condition));

    let text = r#"{"expiration":"2026-01-02T03:04:05Z","conditions":[{"key":"k"}]}"#;
    let none = Policy::parse(text.as_bytes()).unwrap().check(&form, "b", moment());
    assert_eq!(none, Err(FormError::Condition));
}

#[test]
fn key_is_checked_after_placeholder_replacement() {
    let check = |condition: &str, key: &str| {
        let text = format!(
            r#"{{"expiration":"2026-01-02T03:04:05Z","conditions":[{{"bucket":"b"}},{condition}]}}"#
        );
        Policy::parse(text.as_bytes()).unwrap().check(&form(&[("key", key)]), "b", moment()).is_ok()
    };
    assert!(check(r#"["starts-with","$key","user/"]"#, "user/${filename}"));
    assert!(check(r#"{"key":"user/cat.jpg"}"#, "user/${filename}"));
    assert!(!check(r#"["starts-with","$key","user/"]"#, "${filename}"));
    assert!(!check(r#"["starts-with","$key","${filename}"]"#, "${filename}"));
}

#[test]
fn policy_is_valid_until_its_expiration() {
    let (form, policy) = (form(&[("key", "k")]), policy("").unwrap());
    let second = Duration::from_secs(1);
    assert!(policy.check(&form, "b", moment() - 1_000_000 * second).is_ok());
    assert!(policy.check(&form, "b", moment()).is_ok());
    assert_eq!(policy.check(&form, "b", moment() + second), Err(FormError::Expired));
}

#[test]
fn all_length_ranges_must_hold() {
    let range =
        |conditions| policy(conditions).unwrap().check(&form(&[("key", "k")]), "b", moment());
    assert_eq!(range(""), Ok(0..=u64::MAX));
    assert_eq!(range(r#"["content-length-range",2,8]"#), Ok(2..=8));
    let two = r#"["content-length-range",2,8],["content-length-range",0,5]"#;
    assert_eq!(range(two), Ok(2..=5));
}

proptest! {
    #[test]
    fn parsing_a_policy_never_panics(text in "(\\{|\\}|\\[|\\]|\"|:|,|eq|\\$key|expiration|conditions|2026-01-02T03:04:05Z|[0-9]| ){0,40}") {
        let _ = Policy::parse(text.as_bytes());
        let _ = policy(&text);
    }
}
