use std::collections::BTreeMap;

use super::{super::fixtures::*, is_old_boto, parse_header, write_query};
use crate::signature::{Ec2TokensRequest, Freshness, SignatureError, signing_key::ALGORITHM};

#[test]
fn version_4_authorization_has_exactly_one_form() {
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

    // Without any signed header, an empty line remains.
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
fn version_4_post_signs_no_query() {
    let canonical = format!(
        "POST\n/services/Cloud\n\nhost:{HOST}\nx-amz-date:{BASIC_TIME}\n\n\
         host;x-amz-date\n{EMPTY}"
    );
    let signature = sign_v4(SECRET, &canonical);
    assert!(verifies(Ec2TokensRequest { verb: Some("POST".into()), signature, ..v4() }));
}

#[test]
fn old_boto_signs_the_host_without_its_port() {
    let canonical = format!(
        "GET\n/services/Cloud\nAction=DescribeInstances&Version=2016-11-15\n\
         host:cloud.example.test\nx-amz-date:{BASIC_TIME}\n\nhost;x-amz-date\n{EMPTY}"
    );
    let mut request = Ec2TokensRequest { signature: sign_v4(SECRET, &canonical), ..v4() };
    assert!(!verifies(request.clone()));
    request.headers.insert("user-agent".into(), "Boto/2.9.2 (linux)".into());
    assert!(verifies(request.clone()));
    request.headers.insert("user-agent".into(), "Boto/2.9.3 (linux)".into());
    assert!(!verifies(request));
}

#[test]
fn version_4_replay_cannot_carry_a_new_time() {
    let canonical = format!(
        "POST\n/services/Cloud\n\nhost:{HOST}\nx-amz-date:{BASIC_TIME}\n\n\
         host;x-amz-date\n{EMPTY}"
    );
    let signature = sign_v4(SECRET, &canonical);
    let mut request = Ec2TokensRequest { verb: Some("POST".into()), signature, ..v4() };
    request.params.insert("Timestamp".into(), "2026-06-01T00:00:00Z".into());
    let signed = request.prepare().unwrap();
    assert!(signed.verify(&secret()));
    assert_eq!(signed.freshness(), Freshness::At(moment()));
}

#[test]
fn only_old_boto_versions_drop_the_port() {
    for old in ["Boto/2.0.0", "Boto/2.9.2", "Boto/2.9.2 Python/2.7", "Boto/2.9.20"] {
        assert!(is_old_boto(old), "{old}");
    }
    for new in ["", "Boto/2.9", "Boto/2.9.3", "Boto/2.49.0", "Boto/3.0.0", "x Boto/2.9.2"] {
        assert!(!is_old_boto(new), "{new}");
    }
}

#[test]
fn authorization_header_has_each_part_once() {
    let good = " Credential=a/b, SignedHeaders=host;x-amz-date,Signature=00";
    assert_eq!(parse_header(good), Ok((Some("a/b"), Some("host;x-amz-date"))));
    for bad in ["", "X Credential=a", " ", " Credential", " Credential=a, Credential=a"] {
        assert_eq!(parse_header(bad), Err(SignatureError::Malformed), "{bad}");
    }
}

#[test]
fn query_is_sorted_by_code_point_and_percent_encoded() {
    let params = [("b", "a b/c~d*e"), ("B", "-_.~"), ("ä", "+&="), ("Filter.1", "")];
    let params: BTreeMap<String, String> =
        params.map(|(name, value)| (name.into(), value.into())).into();
    let mut text = String::new();
    write_query(&mut text, &params);
    assert_eq!(text, "B=-_.~&Filter.1=&b=a%20b%2Fc~d%2Ae&%C3%A4=%2B%26%3D");
}
