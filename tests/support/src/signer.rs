//! Signs requests with only the hash crates.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64URL, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The SHA-256 of the empty string.
pub const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub fn sha1(secret: &str, text: &str) -> String {
    BASE64.encode(&mac::<Hmac<Sha1>>(secret.as_bytes(), text))
}

pub fn sha256(secret: &str, text: &str) -> String {
    BASE64.encode(&mac::<Hmac<Sha256>>(secret.as_bytes(), text))
}

/// Signs a string of version 4 with the key of a scope.
pub fn v4(secret: &str, scope: &str, text: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/').chain([text]) {
        key = mac::<Hmac<Sha256>>(&key, part);
    }
    HEXLOWER.encode(&key)
}

fn mac<M: Mac + KeyInit>(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The body of `s3tokens`.
pub fn s3_body(access: &str, text: &str, signature: &str) -> Value {
    let token = BASE64URL.encode(text.as_bytes());
    json!({"credentials": {"access": access, "token": token, "signature": signature}})
}

/// An S3 request of version 4, signed at this time for this scope.
pub fn s3_v4(access: &str, secret: &str, time: &str, scope: &str) -> Value {
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{EMPTY}");
    s3_body(access, &text, &v4(secret, scope, &text))
}

/// An S3 request of version 2 with this date line.
pub fn s3_v1(access: &str, secret: &str, date: &str) -> Value {
    let text = format!("GET\n\n\n{date}\n/bucket/key");
    s3_body(access, &text, &sha1(secret, &text))
}

/// An EC2 request of version 4, signed at this time for this scope.
pub fn ec2_v4(access: &str, secret: &str, time: &str, scope: &str) -> Value {
    let canonical = format!(
        "GET\n/\nAction=Describe\nhost:cloud.example\nx-amz-date:{time}\n\nhost;x-amz-date\n{EMPTY}"
    );
    let hashed = HEXLOWER.encode(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders=host;x-amz-date, Signature=x"
    );
    json!({"credentials": {
        "access": access, "signature": v4(secret, scope, &text),
        "verb": "GET", "host": "cloud.example", "path": "/", "params": {"Action": "Describe"},
        "headers": {"Host": "cloud.example", "X-Amz-Date": time, "Authorization": authorization},
        "body_hash": EMPTY,
    }})
}

/// An EC2 request of version 0, 1 or 2 with this time.
pub fn ec2_old(version: u8, access: &str, secret: &str, time: &str) -> Value {
    let version = version.to_string();
    let mut params = BTreeMap::from([
        ("Action", "Describe"),
        ("SignatureVersion", &*version),
        ("Timestamp", time),
    ]);
    let signature = match &*version {
        "0" => sha1(secret, &format!("Describe{time}")),
        "1" => sha1(secret, &format!("ActionDescribeSignatureVersion1Timestamp{time}")),
        _ => {
            params.insert("SignatureMethod", "HmacSHA256");
            let time = time.replace(':', "%3A");
            let text = format!(
                "GET\ncloud.example\n/\nAction=Describe&SignatureMethod=HmacSHA256\
                 &SignatureVersion=2&Timestamp={time}"
            );
            sha256(secret, &text)
        }
    };
    json!({"credentials": {
        "access": access, "signature": signature, "params": params,
        "verb": "GET", "host": "cloud.example", "path": "/", "headers": {},
    }})
}
