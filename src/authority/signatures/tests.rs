//! The amount of hashing for signatures of known and unknown keys.

use std::{sync::Arc, time::UNIX_EPOCH};

use async_trait::async_trait;
use data_encoding::BASE64URL;

use super::*;
use crate::{
    audit::TracingSink,
    backend::{CredentialBackend, memory::MemoryBackend},
    clock::Clock,
    directory::OpenDirectory,
    domain::{
        AccessKey, Credential, CredentialId, Kind, Material, ProjectId, Quota, Scope, SecretText,
        Status, UserId, Version,
    },
    issuer::{IssueError, TokenIssuer},
    policy::{Owners, RolePolicy},
    signature::{Ec2TokensRequest, hash::count},
};

const TIME: &str = "2026-01-02T03:04:05Z";
const BASIC_TIME: &str = "20260102T030405Z";

/// A clock that shows the time at which the requests were signed.
#[derive(Debug)]
struct SigningTime;

impl Clock for SigningTime {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }
}

#[derive(Debug)]
struct Issuer;

#[async_trait]
impl TokenIssuer for Issuer {
    async fn issue(&self, _: &Signer) -> Result<IssuedToken, IssueError> {
        let (id, now) = (SecretText::new("token"), SigningTime.now());
        let catalog = serde_json::Value::Null;
        Ok(IssuedToken { id, issued_at: now, expires_at: now, audit_ids: Vec::new(), catalog })
    }
}

/// An authority with keys in every state, whose secrets differ in length.
async fn authority(hide_unknown_keys: bool) -> Authority {
    let backend = MemoryBackend::default();
    for (access, secret, status) in [
        ("long", Some("s".repeat(256)), Status::Active),
        ("short", Some("s".to_owned()), Status::Active),
        ("inactive", Some("s".repeat(70)), Status::Inactive),
        ("secretless", None, Status::Active),
    ] {
        let access = AccessKey::new(access).unwrap();
        let owner = UserId::new("amy").unwrap();
        let secret = secret.map(SecretKey::from_stored);
        let (id, material) = (CredentialId::of(&access), Material::KeyPair { secret });
        let now = SigningTime.now();
        let mut record = Credential::new(id, Kind::ec2(), owner, material, now, Version::fresh());
        record.project_id = Some(ProjectId::new("demo").unwrap());
        record.access_key = Some(access);
        record.status = status;
        backend.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
    }
    Authority {
        backend: Arc::new(backend),
        owners: Owners::with_roles().with_directory(Some(Arc::new(OpenDirectory))),
        issuer: Some(Arc::new(Issuer)),
        usage: None,
        policy: Arc::new(RolePolicy::default()),
        audit: Arc::new(TracingSink::new()),
        turns: Arc::default(),
        clock: Arc::new(SigningTime),
        max_key_life: None,
        show_secrets_once: false,
        accept_bounded: false,
        quota: Quota::Unlimited,
        hide_unknown_keys,
        max_skew: Duration::from_mins(15),
        mint_limit: None,
    }
}

fn s3(access: &str, text: &str, signature: &str) -> SignatureCommand {
    let token = BASE64URL.encode(text.as_bytes());
    let access = AccessKey::from_stored(access);
    SignatureCommand::S3(Ok(S3TokensRequest::parse(access, &token, signature).unwrap()))
}

fn ec2(access: &str, version: &str, signature: &str) -> SignatureCommand {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let scope = format!("{access}/20260102/RegionOne/ec2/aws4_request");
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x");
    let headers = [("Host", "h:1"), ("X-Amz-Date", BASIC_TIME), ("Authorization", &authorization)];
    let request = Ec2TokensRequest {
        access: AccessKey::from_stored(access),
        signature: signature.into(),
        verb: Some("GET".into()),
        host: Some("h:1".into()),
        path: Some("/".into()),
        params: map(&[("SignatureVersion", version), ("Action", "A"), ("Timestamp", TIME)]),
        headers: if version == "4" { map(&headers) } else { map(&[]) },
        body_hash: Some("x".into()),
    };
    SignatureCommand::Ec2(Ok(Box::new(request.prepare().unwrap())))
}

/// A request of each version with this access key and an invalid signature.
fn wrong(access: &str) -> [(&'static str, SignatureCommand); 6] {
    let hash = "0".repeat(64);
    let v4 = format!("AWS4-HMAC-SHA256\n{BASIC_TIME}\n20260102/us-east-1/s3/aws4_request\n{hash}");
    let v1 = "GET\n\n\nFri, 02 Jan 2026 03:04:05 GMT\n/bucket";
    [
        ("s3 v1", s3(access, v1, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("s3 v4", s3(access, &v4, &hash)),
        ("ec2 v0", ec2(access, "0", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("ec2 v1", ec2(access, "1", "no signature at all")),
        ("ec2 v2", ec2(access, "2", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("ec2 v4", ec2(access, "4", "")),
    ]
}

/// The number of hashed blocks, and the kind of the error.
fn cost(authority: &Authority, command: SignatureCommand) -> (usize, ErrorKind) {
    let scope = Scope::System;
    let caller = Caller::new(UserId::new("gateway").unwrap(), scope).with_roles(["service"]);
    let mut kind = None;
    let blocks = count::blocks_of(|| {
        kind = tokio_test::block_on(authority.verify(&caller, command)).err().map(|it| it.kind());
    });
    (blocks, kind.expect("the signature is invalid"))
}

#[test]
fn unknown_key_costs_as_much_hashing_as_a_wrong_signature() {
    for hide in [false, true] {
        let authority = tokio_test::block_on(authority(hide));
        let expected = wrong("long").map(|(version, command)| (version, cost(&authority, command)));
        for (version, (blocks, kind)) in expected {
            assert!(blocks > 4, "{version}: {blocks}");
            assert_eq!(kind, ErrorKind::Unauthenticated, "{version}");
        }
        for access in ["unknown", "short", "inactive", "secretless"] {
            let unknown = access == "unknown" && !hide;
            let expected_kind =
                if unknown { ErrorKind::NotFound } else { ErrorKind::Unauthenticated };
            for ((version, command), (_, (blocks, _))) in wrong(access).into_iter().zip(expected) {
                // The access keys differ in length, but are not signed here.
                assert_eq!(
                    cost(&authority, command),
                    (blocks, expected_kind),
                    "{version} {access}"
                );
            }
        }
    }
}
