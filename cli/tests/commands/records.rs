//! Records for the tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tower_credentials::domain::{
    AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Material, ProjectId, SecretKey,
    SecretText, Slot, Status, UserId, Version,
};

/// Part of every secret. No output may contain it.
pub(crate) const SECRET: &str = "s3cr3t";

/// A record of every kind, with every field set in some record, sorted by id.
pub(crate) fn every_kind() -> Vec<Credential> {
    let secret = |text: &str| SecretKey::from_stored(text);
    let mut full = pair("AKFULL", "alice");
    full.material = Material::KeyPair { secret: Some(secret("pair-s3cr3t \"\\ \u{1F511}")) };
    full.project_id = Some(ProjectId::from_stored("demo"));
    full.status = Status::Inactive;
    full.delegation =
        Some(Delegation::ApplicationCredential { id: "app".into(), restricted: true });
    full.attributes.insert("name".into(), json!("Amy's \"key\""));
    full.attributes
        .insert("numbers".into(), "[0.1, 1.5e300, 18446744073709551615]".parse().unwrap());
    full.updated_at = at(5_000_001);

    let mut replaced = pair("AKREPLACED", "alice");
    replaced.access_key = Some(AccessKey::from_stored("AK-ANOTHER \u{e9}"));
    replaced.delegation = Some(Delegation::Trust { id: "t".into() });

    let blob = r#"{ "access" : "AKBLOB",  "secret":"blob-s3cr3t", "x": [1.50] }"#;
    let mut grant = pair("AKGRANT", "bob");
    grant.slot = Some(Slot::S3);
    grant.material = Material::Grant {
        username: "AKGRANT".into(),
        secret: secret("grant-s3cr3t"),
        signature: SecretText::new("signature-s3cr3t"),
    };
    let granted = r#"{"form":"password","username":"amy","hash":"pbkdf2-sha256$1000$BwcHBwcHBwcHBwcHBwcHBw$CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"}"#;
    let mut password = opaque("a-password", "password", Material::decode(granted).unwrap());
    password.slot = Some(Slot::Password);
    let mut records = vec![
        full,
        replaced,
        grant,
        password,
        pair("AKWITHOUT", "carol"),
        opaque("a-blob", "totp", Material::Blob(Blob::new(blob))),
        opaque("\u{e9}\u{1F511}", "cert", Material::Blob(Blob::new("a line\nand another"))),
    ];
    records[4].material = Material::KeyPair { secret: None };
    records.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    records
}

/// This many key pairs of some users and projects, sorted by id.
pub(crate) fn many(count: usize) -> Vec<Credential> {
    let mut records: Vec<_> = (0..count)
        .map(|n| {
            let mut record = pair(&format!("AK{n:08}"), &format!("user-{}", n / 10));
            record.project_id = Some(ProjectId::from_stored(format!("project-{}", n / 100)));
            let secret = SecretKey::from_stored(format!("filler-s3cr3t-{n}"));
            record.material = Material::KeyPair { secret: Some(secret) };
            record
        })
        .collect();
    records.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    records
}

pub(crate) fn pair(access_key: &str, user: &str) -> Credential {
    let access_key = AccessKey::from_stored(access_key);
    let secret = Some(SecretKey::from_stored("filler-s3cr3t"));
    let mut record = Credential::new(
        CredentialId::of(&access_key),
        Kind::ec2(),
        UserId::from_stored(user),
        Material::KeyPair { secret },
        at(0),
        Version::from_stored(1 << 61),
    );
    record.access_key = Some(access_key);
    record
}

fn opaque(id: &str, kind: &str, material: Material) -> Credential {
    let (id, kind) = (CredentialId::from_stored(id), Kind::from_stored(kind));
    Credential::new(
        id,
        kind,
        UserId::from_stored("alice"),
        material,
        at(7),
        Version::from_stored(7),
    )
}

/// A time, plus microseconds.
fn at(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000) + Duration::from_micros(micros)
}
