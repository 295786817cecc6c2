//! Boundaries that are not valid.

use serde_json::json;

use crate::boundary::Boundary;

/// Returns the path in the error of a boundary that is not valid.
fn path_of(boundary: &serde_json::Value) -> String {
    let text = boundary.to_string();
    Boundary::parse(&text, "alice").map_or_else(|error| error.path().to_owned(), |_| text)
}

#[test]
fn invalid_document_is_rejected_with_the_path_of_the_member() {
    let one = |add: serde_json::Value| {
        let mut statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"});
        for (name, value) in add.as_object().unwrap() {
            if value.is_null() {
                statement.as_object_mut().unwrap().remove(name);
            } else {
                statement[name] = value.clone();
            }
        }
        json!({"policy": {"Version": "2012-10-17", "Statement": [statement]}})
    };
    let condition = |operator: &str, key: &str, value: serde_json::Value| {
        one(json!({"Condition": {operator: {key: value}}}))
    };
    for (boundary, path) in [
        (condition("StringLikes", "s3:prefix", json!("a")), "Condition.StringLikes.s3:prefix"),
        (
            condition("StringLike", "aws:SourceVpc", json!("a")),
            "Condition.StringLike.aws:SourceVpc",
        ),
        (condition("StringLike", "s3:prefx", json!("a")), "Condition.StringLike.s3:prefx"),
        (
            condition("ForAllValues:StringLike", "s3:prefix", json!("a")),
            "Condition.ForAllValues:StringLike.s3:prefix",
        ),
        (condition("StringLike", "s3:max-keys", json!("a")), "Condition.StringLike.s3:max-keys"),
        (
            condition("NumericLessThan", "s3:max-keys", json!("ten")),
            "Condition.NumericLessThan.s3:max-keys",
        ),
        (
            condition("IpAddress", "aws:SourceIp", json!("10.0.0.0/33")),
            "Condition.IpAddress.aws:SourceIp",
        ),
        (condition("StringLike", "s3:prefix", json!([])), "Condition.StringLike.s3:prefix"),
        (
            condition("StringLike", "s3:prefix", json!("${aws:PrincipalTag/x}")),
            "Condition.StringLike.s3:prefix",
        ),
        (condition("NullIfExists", "s3:prefix", json!("true")), "Condition.NullIfExists.s3:prefix"),
        (
            condition("ForAnyValue:StringNotLike", "s3:prefix", json!("a")),
            "Condition.ForAnyValue:StringNotLike.s3:prefix",
        ),
        (
            condition("StringEquals", "s3:RequestObjectTagKeys", json!("a")),
            "Condition.StringEquals.s3:RequestObjectTagKeys",
        ),
        (
            condition("DateLessThan", "aws:CurrentTime", json!("soon")),
            "Condition.DateLessThan.aws:CurrentTime",
        ),
        (
            condition("StringLike", "s3:prefix", json!("a*".repeat(17))),
            "Condition.StringLike.s3:prefix",
        ),
        (
            one(json!({"Action": "s3:GetObject", "Condition": {"StringLike": {"s3:prefix": "a"}}})),
            "Condition.StringLike.s3:prefix",
        ),
        (one(json!({"Effect": "allow"})), "Effect"),
        (one(json!({"Effect": null})), "Effect"),
        (one(json!({"Principal": "*"})), "Principal"),
        (one(json!({"Action": null})), "Action"),
        (one(json!({"NotAction": "s3:GetObject"})), "Action"),
        (one(json!({"Action": "GetObject"})), "Action"),
        (one(json!({"Effect": "Deny", "Action": "s3:GetObjekt"})), "Action"),
        (one(json!({"Action": null, "NotAction": ["s3:GetObject", "s3:GetObjekt"]})), "NotAction"),
        (one(json!({"Resource": []})), "Resource"),
        (one(json!({"Resource": "data/*"})), "Resource"),
        (one(json!({"Resource": "arn:aws:${aws:username}:::b"})), "Resource"),
        (one(json!({"Resource": "arn:aws:s3:::b/${aws:username"})), "Resource"),
        (one(json!({"Sid": "a\nb"})), "Sid"),
    ] {
        assert_eq!(
            path_of(&boundary),
            format!("boundary.policy.Statement[0].{path}"),
            "{boundary}"
        );
    }
    let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"});
    let old = json!({"Effect": "Allow", "Action": "s3:*",
        "Resource": "arn:aws:s3:::b/${aws:username}/*"});
    let long = json!({"Effect": "Allow", "Action": "s3:*", "Resource": format!("arn:aws:s3:::{}", "a".repeat(2_048))});
    for (boundary, path) in [
        (json!([]), "boundary"),
        (json!({"policy": []}), "boundary.policy"),
        (json!({"policy": {}}), "boundary.policy.Statement"),
        (json!({"policy": {"Statement": []}}), "boundary.policy.Statement"),
        (json!({"policy": {"Statement": vec![&statement; 65]}}), "boundary.policy"),
        (json!({"policy": {"Statement": [long]}}), "boundary.policy"),
        (
            json!({"policy": {"Version": "2013-10-17", "Statement": [statement]}}),
            "boundary.policy.Version",
        ),
        (
            json!({"policy": {"Version": "2008-10-17", "Statement": [old]}}),
            "boundary.policy.Statement[0].Resource",
        ),
        (json!({"policy": {"Statement": [statement], "Other": 1}}), "boundary.policy.Other"),
        (json!({"policy": {"Statement": [statement]}, "permission": "read"}), "boundary"),
    ] {
        assert_eq!(path_of(&boundary), path, "{boundary}");
    }
    let blank = format!("{}{}", " ".repeat(16_384), json!({"policy": {"Statement": [statement]}}));
    assert_eq!(Boundary::parse(&blank, "alice").unwrap_err().path(), "boundary");
    let twice = r#"{"policy": {"Statement": [{"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}]}}"#;
    assert!(Boundary::parse(twice, "alice").is_err());
}

#[test]
fn invalid_short_form_is_rejected_with_the_path_of_the_member() {
    for (boundary, path) in [
        (json!({"buckets": ["data"]}), "permission"),
        (json!({"permission": "read"}), "buckets"),
        (json!({"permission": "admin", "buckets": ["data"]}), "permission"),
        (json!({"permission": "read", "buckets": []}), "buckets"),
        (json!({"permission": "read", "buckets": "data"}), "buckets"),
        (json!({"permission": "read", "buckets": ["Data"]}), "buckets"),
        (json!({"permission": "read", "buckets": ["*", "data"]}), "buckets"),
        (json!({"permission": "read", "buckets": ["*"], "prefixes": ["a"]}), "buckets"),
        (json!({"permission": "read", "buckets": ["data"], "prefixes": []}), "prefixes"),
        (json!({"permission": "read", "buckets": ["data"], "prefixes": ["a/../b"]}), "prefixes"),
        (json!({"permission": "read", "buckets": ["data"], "objects": [""]}), "objects"),
        (json!({"permission": "read", "buckets": ["data"], "list_buckets": 1}), "list_buckets"),
        (json!({"permission": "read", "buckets": ["data"], "expires": 1}), "expires"),
    ] {
        assert_eq!(path_of(&boundary), format!("boundary.{path}"), "{boundary}");
    }
}
