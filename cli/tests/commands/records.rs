//! Records for the tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tower_credentials::{
    backend::Order,
    domain::{
        AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Life, Material, ProjectId,
        RotatedFrom, SecretKey, SecretText, Slot, Status, UserId, Version,
    },
};

/// Part of every secret. No output may contain it.
pub(crate) const SECRET: &str = "s3cr3t";

/// A record of every kind, with every field set in some record, in the order of a list.
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
    sort(&mut records);
    records
}

/// A boundary, as a client sent it.
pub(crate) const BOUNDARY: &str = r#"{ "permission":"read", "buckets": ["data"] }"#;

/// Key pairs with every term set in some record, in the order of a list.
pub(crate) fn with_terms() -> Vec<Credential> {
    let mut full = pair("AKTERMS", "alice");
    full.terms.set_name(Some("backup \u{1F511} \"x\"".into())).unwrap();
    full.terms.set_description(Some("two\nlines".into())).unwrap();
    full.terms.set_boundary(Some(BOUNDARY.into()));
    full.terms.set_enabled_at(at(3));
    full.terms.shorten_to(at(9_000_001), Life::Unlimited);
    full.terms.set_rotated_from(Some(RotatedFrom {
        id: CredentialId::from_stored("earlier"),
        access_key: AccessKey::from_stored("AKEARLIER"),
        expires_at: at(5),
    }));
    let mut named = pair("AKNAMED", "alice");
    named.terms.set_name(Some("only a name".into())).unwrap();
    let mut bounded = pair("AKBOUNDED", "bob");
    bounded.terms.set_boundary(Some(BOUNDARY.into()));
    bounded.status = Status::Inactive;
    let mut ending = pair("AKENDING", "bob");
    ending.terms.set_expires_at(Some(at(7)));
    let mut records = vec![full, named, bounded, ending, pair("AKPLAIN", "carol")];
    sort(&mut records);
    records
}

/// This many key pairs of some users and projects, in the order of a list.
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
    sort(&mut records);
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

/// Sorts records as lists do.
pub(crate) fn sort(records: &mut [Credential]) {
    records.sort_by_key(|record| Order::Key.marker(record));
}
