//! Amazon's test suite for Signature Version 4: the cases in which S3 has the same rules as
//! other services. Left out are the cases on normalized paths, on bodies, and on duplicate
//! parameters or headers, which are rejected here.
//!
//! The requests of the suite are for a service called `service` and do not declare their
//! bodies. So the tests assemble each canonical request from its parts.

use http::Request;

use super::{head::RequestHead, headers, path, query::Query};
use crate::{
    domain::SecretKey,
    signature::{CredentialScope, SigningKey, hash, parse_signature},
};

const HOST: &str = "example.amazonaws.com";
const DATE: &str = "20150830T123600Z";
const SCOPE: &str = "20150830/us-east-1/service/aws4_request";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct Case {
    name: &'static str,
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    signature: &'static str,
}

/// Sorted by their names in the suite.
const CASES: [Case; 11] = [
    Case {
        name: "get-header-value-trim",
        method: "GET",
        target: "/",
        headers: &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    },
    Case {
        name: "get-unreserved",
        method: "GET",
        target: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        headers: &[],
        signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    },
    Case {
        name: "get-utf8",
        method: "GET",
        target: "/ሴ",
        headers: &[],
        signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    },
    Case {
        name: "get-vanilla",
        method: "GET",
        target: "/",
        headers: &[],
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Case {
        name: "get-vanilla-query-order-key-case",
        method: "GET",
        target: "/?Param2=value2&Param1=value1",
        headers: &[],
        signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    },
    Case {
        name: "get-vanilla-query-unreserved",
        method: "GET",
        target: "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        headers: &[],
        signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    },
    Case {
        name: "get-vanilla-utf8-query",
        method: "GET",
        target: "/?ሴ=bar",
        headers: &[],
        signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    },
    Case {
        name: "post-header-key-sort",
        method: "POST",
        target: "/",
        headers: &[("my-header1", "value1")],
        signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    },
    Case {
        name: "post-header-value-case",
        method: "POST",
        target: "/",
        headers: &[("my-header1", "VALUE1")],
        signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    },
    Case {
        name: "post-vanilla",
        method: "POST",
        target: "/",
        headers: &[],
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Case {
        name: "post-vanilla-query",
        method: "POST",
        target: "/?Param1=value1",
        headers: &[],
        signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    },
];

impl Case {
    fn canonical(&self) -> String {
        let request = Request::builder().method(self.method).uri(self.target);
        let mut request = request.header("host", HOST).header("x-amz-date", DATE);
        let mut names = vec!["host", "x-amz-date"];
        for (name, value) in self.headers {
            request = request.header(*name, *value);
            names.push(name);
        }
        names.sort_unstable();
        names.dedup();
        let (request, names) = (request.body(()).unwrap(), names.join(";"));

        let mut text = format!("{}\n", request.method()).into_bytes();
        assert!(path::write_path(&mut text, request.uri().path()));
        text.push(b'\n');
        Query::of(request.uri()).write(&mut text, "").unwrap();
        text.push(b'\n');
        let head = RequestHead::from(&request);
        assert!(headers::write(&mut text, head, &head.named(), &names).unwrap());
        format!("{}\n{names}\n{EMPTY}", String::from_utf8(text).unwrap())
    }
}

#[test]
fn amazon_test_suite_cases_shared_by_s3_verify() {
    let scope = CredentialScope::parse(SCOPE).unwrap();
    let key = SigningKey::derive(&SecretKey::from_stored(SECRET), &scope);
    for case in &CASES {
        let canonical = case.canonical();
        let hashed = data_encoding::HEXLOWER.encode(&hash::sha256(canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{DATE}\n{SCOPE}\n{hashed}");
        let signature = parse_signature(case.signature);
        assert!(key.verify(text.as_bytes(), signature.as_ref()), "{}:\n{canonical}", case.name);
    }
}

#[test]
fn duplicate_parameter_of_the_suite_is_rejected() {
    // `get-vanilla-query-order-value`
    let uri = "/?Param1=value2&Param1=value1".parse().unwrap();
    assert!(Query::of(&uri).write(&mut Vec::new(), "").is_err());
}
