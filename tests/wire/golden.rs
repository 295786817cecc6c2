//! Pins the exact bytes of representative responses: the order of members, escapes, links and
//! headers. `golden.txt` has them.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use serde_json::json;
use tower_credentials::{
    backend::{CredentialBackend, memory::MemoryBackend},
    domain::{
        AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Material, PasswordHash,
        ProjectId, Quota, RotatedFrom, SecretKey, SecretText, Slot, Status, UserId, Version,
    },
    usage::UsageLog,
};

use crate::world::{
    ALICE, DEMO, START, World,
    v3::{tokens, trust},
};

const AT: Duration = Duration::from_micros(1_458_262_000_999_999);

fn record(id: &str, kind: &str, access: Option<&str>, material: Material) -> Credential {
    let at = std::time::UNIX_EPOCH + AT;
    let (kind, user) = (Kind::new(kind).unwrap(), UserId::new(ALICE).unwrap());
    let id = CredentialId::from_stored(id);
    let mut record = Credential::new(id, kind, user, material, at, Version::from_stored(1));
    record.project_id = Some(ProjectId::new(DEMO).unwrap());
    record.access_key = access.map(AccessKey::from_stored);
    record
}

fn pair(secret: &str) -> Material {
    Material::KeyPair { secret: Some(SecretKey::from_stored(secret)) }
}

/// One record of every form, and one with everything that a record can have.
fn records() -> Vec<Credential> {
    let end = std::time::UNIX_EPOCH + START + Duration::from_hours(24);
    let mut full = record("01-full", "ec2", Some("full+\"key\\"), pair("se\"cr\\et"));
    full.status = Status::Inactive;
    full.delegation = Some(trust());
    for (name, value) in [
        ("subject_ibm_id", json!("IBMid-\u{1}\u{e9}")),
        ("note", json!({"b": [1.5, null, true, -7], "a": "\u{7f}\u{2028}</script>\t"})),
        ("name", json!("an attribute that a term replaces")),
        ("last_used", json!("the client's own")),
    ] {
        full.attributes.insert(name.into(), value);
    }
    full.terms.set_name(Some("Jo \"x\" \\ \u{fc}".into())).unwrap();
    full.terms.set_description(Some("two\nlines\u{0}".into())).unwrap();
    full.terms.set_expires_at(Some(end));
    let boundary = r#"{"buckets":["demo"],"permission":"read-write","prefixes":["a/","\"b\\"]}"#;
    full.terms.set_boundary(Some(boundary.into()));
    full.terms.set_rotated_from(Some(RotatedFrom {
        id: CredentialId::from_stored("old \"id\""),
        access_key: AccessKey::from_stored("old-key"),
        expires_at: end,
    }));

    let mut plain = record("02-plain", "ec2", Some("plain"), pair("plainsecret"));
    plain.project_id = None;
    let mut token = record("03-token", "ec2", Some("token"), Material::KeyPair { secret: None });
    token.delegation = Some(Delegation::AccessToken { id: "o\"1".into() });
    let text = r#"{"secret" : "sp\u0061ced", "access":"spaced", "x":[1] }"#;
    let blob = record("04-blob", "ec2", Some("spaced"), Material::Blob(Blob::new(text)));
    let opaque = Material::Blob(Blob::new("seed\n\"\u{1f511}\"\r\u{8}\u{c}\u{1b}"));
    let opaque = record("05 /%opaque", "totp", None, opaque);
    let mut grant = record(
        "06-grant",
        "ec2",
        Some("granted"),
        Material::Grant {
            username: "granted".into(),
            secret: SecretKey::from_stored("gsecret"),
            signature: SecretText::new("sig\"nature"),
        },
    );
    grant.slot = Some(Slot::S3);
    let hash = PasswordHash::derive(&SecretText::new("pw")).unwrap();
    let password = Material::Password { username: "pass<word>".into(), hash };
    let mut password = record("07-password", "password", None, password);
    password.slot = Some(Slot::Password);
    vec![full, plain, token, blob, opaque, grant, password]
}

/// The responses to all requests, with the headers that are not random.
async fn responses(world: &World, title: &str) -> String {
    let v2 = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    let ec2 = format!("/v3/users/{ALICE}/credentials/OS-EC2");
    let mut paths: Vec<String> = [
        "/credentials",
        "/credentials?limit=2",
        "/credentials/plain",
        "/credentials/full+%22key%5C",
        "/v3/credentials",
        "/v3/credentials?limit=2&type=ec2",
        "/v3/credentials?user_id=nobody",
        "/v3/credentials/01-full",
        "/v3/credentials/02-plain",
        "/v3/credentials/03-token",
        "/v3/credentials/04-blob",
        "/v3/credentials/05%20%2F%25opaque",
        "/v3/credentials/06-grant",
        "/v3/credentials/07-password",
    ]
    .map(Into::into)
    .into();
    paths.extend(["", "?limit=1", "/plain", "/full+%22key%5C"].map(|rest| format!("{ec2}{rest}")));
    paths.extend(["", "?limit=1", "/s3credentials"].map(|rest| format!("{v2}{rest}")));
    let mut text = String::new();
    for path in &paths {
        for (method, accept) in
            [("GET", "application/json"), ("GET", "application/xml"), ("HEAD", "*/*")]
        {
            let only_json = !path.starts_with("/v2.0");
            if only_json && accept.ends_with("xml") || !path.starts_with("/v3") && method == "HEAD"
            {
                continue;
            }
            let call = world.call(method, path).token("dev-admin").header("accept", accept);
            let answer = call.header("host", "keys.test").send().await;
            let status = answer.status.as_u16();
            writeln!(text, "{title}: {method} {path} {accept}\n{status}").unwrap();
            for (name, value) in &answer.headers {
                if !["x-trans-id", "x-openstack-request-id"].contains(&name.as_str()) {
                    writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
                }
            }
            writeln!(text, "{}", answer.text()).unwrap();
        }
    }
    text
}

#[tokio::test]
async fn responses_to_reads_have_these_bytes() {
    let store = Arc::new(MemoryBackend::default());
    for record in records() {
        store.insert(&record.into(), Quota::Unlimited).await.unwrap();
    }
    let used = std::time::UNIX_EPOCH + START - Duration::from_mins(1);
    store.record(&[(CredentialId::from_stored("02-plain"), used)]).await.unwrap();
    let backend = || Arc::<MemoryBackend>::clone(&store);
    let plain = World::of(tokens(), backend(), |builder| builder);
    let once = World::of(tokens(), backend(), |builder| {
        builder.usage(backend()).show_secrets_once(true).base_url("https://keys.example/a")
    });
    let found = responses(&plain, "default").await + &responses(&once, "once").await;
    let mut expected = include_str!("golden.txt").lines();
    for (number, line) in found.lines().enumerate() {
        assert_eq!(Some(line), expected.next(), "golden.txt:{}", number + 1);
    }
    assert_eq!(expected.next(), None);
}
