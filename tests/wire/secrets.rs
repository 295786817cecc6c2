//! Secrets appear only in the responses that must contain them.

use serde_json::json;
use tower_credentials::{
    domain::AccessKey,
    issuer::{IssuedToken, TokenIssuer},
    signature::{CredentialScope, Ec2TokensRequest, S3TokensRequest, SigningKey, decoy},
};

use crate::{
    keystone_v2_json::bobs,
    signer::{ec2_old, ec2_v4, s3_v1, s3_v4},
    thread_log,
    world::{
        ALICE, Answer, BOB, DEMO, World, pair,
        v3::{
            ACCESS, CREDENTIALS, EC2TOKENS, S3TOKENS, SECRET, Signing, blob_of, change,
            credential_path, ec2_path, id_of, opaque, pair_of,
        },
    },
};

const SECRETS: [&str; 8] = [
    "secret-of-minted",
    "granted-secret",
    "granted-signature",
    "correct horse",
    "changed-secret",
    "guessed-secret",
    "dev-admin",
    "not-a-token",
];

/// Sends valid and invalid requests of every kind.
async fn scenario(world: &World) -> Vec<Answer> {
    let grant = |secret: &str| {
        json!({"ec2Credentials": {
            "username": "granted", "secret": secret, "signature": "granted-signature",
        }})
    };
    let password = json!({"passwordCredentials": {"username": "amy", "password": "correct horse"}});
    let guess = json!({"credential": {"blob": {"secret": "guessed-secret"}}});
    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    let broken = "{\"credential\":{\"type\":\"ec2\",\"blob\":{\"secret\":\"guessed-secret\"";
    let minted = "/credentials/minted";
    let calls = [
        world.post("/credentials").json(&pair(BOB, DEMO, "minted")),
        world.post("/credentials").json(&pair(ALICE, DEMO, "minted")),
        world.post("/credentials").json(&json!({"credential": {"type": "ec2"}})),
        world.post("/credentials").text("application/json", broken),
        world.get("/credentials"),
        world.get(minted),
        world.patch(minted).json(&guess),
        world.patch(minted).json(&disable),
        world.post(&bobs("")).json(&grant("granted-secret")),
        world.post(&bobs("")).json(&grant("granted-secret")),
        world.post(&bobs("/ec2Credentials")).json(&grant("changed-secret")),
        world.post(&bobs("")).json(&password),
        world.get(&bobs("")),
        world.delete(&bobs("/ec2Credentials")),
        world.delete(minted),
    ];
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.token("dev-admin").send().await);
    }
    answers.push(world.get(minted).token("not-a-token").send().await);
    answers
}

#[tokio::test]
async fn whole_scenario_logs_no_secret_and_one_line_per_change() {
    thread_log::listen();
    let world = World::new();
    let answers = scenario(&world).await;

    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    let expected = [201, 409, 201, 400, 200, 200, 400, 200, 201, 409, 200, 201, 200, 204, 204, 401];
    assert_eq!(statuses, expected);

    let text = thread_log::take();
    let made = answers[2].json();
    let generated = made["credential"]["blob"]["secret"].as_str().unwrap();
    for secret in SECRETS.iter().chain([&generated]) {
        assert!(!text.contains(secret), "{secret} is in the log:\n{text}");
    }
    let changes = |event: &str| text.lines().filter(|line| line.contains(event)).count();
    assert_eq!(changes("credential created"), 4, "{text}");
    assert_eq!(changes("credential updated"), 2, "{text}");
    assert_eq!(changes("credential deleted"), 2, "{text}");
}

#[tokio::test]
async fn debug_of_every_public_type_contains_no_secret() {
    let world = World::new();
    let mut output = Vec::new();
    for answer in scenario(&world).await {
        let error = answer.error.as_deref().map(|error| error as &dyn std::error::Error);
        let causes = std::iter::successors(error, |error| error.source());
        output.extend(causes.map(|error| format!("{error} {error:?}")));
    }
    assert!(output.len() >= 4, "every refusal has its error: {output:?}");
    world.mint(BOB, DEMO, "minted").await;
    let service = tower::Layer::layer(&world.layer, ());
    output.push(format!("{service:?} {:?} {:?}", world.layer, world.backend));
    output.push(format!("{:?}", world.stored("minted").await.unwrap()));
    let output = output.concat();
    for secret in SECRETS {
        assert!(!output.contains(secret), "{secret} in {output}");
    }
}

#[tokio::test]
async fn refusals_and_failures_return_no_secret_to_the_client() {
    let world = World::new();
    for answer in scenario(&world).await {
        if answer.status.is_success() {
            continue;
        }
        let output = format!("{:?} {}", answer.headers, answer.text());
        for secret in SECRETS {
            assert!(!output.contains(secret), "{secret} in {output}");
        }
    }
}

const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";
const TIME: &str = "20260102T030405Z";

/// Secrets in the requests of [`v3_scenario`], besides those of the signed requests.
const V3_SECRETS: [&str; 7] = [
    "secret-of-the-pair",
    "seed-of-totp",
    "changed-secret",
    "guessed-secret",
    "hunter2",
    SECRET,
    "issued-token",
];

/// Sends valid and invalid requests of v3. Returns the responses and all secrets, which
/// include signatures and strings to sign.
async fn v3_scenario(signing: &Signing) -> (Vec<Answer>, Vec<String>) {
    let world = &signing.world;
    let pair = pair_of(BOB, DEMO, &blob_of("pair", "secret-of-the-pair"));
    let stolen = pair_of(ALICE, DEMO, &blob_of("pair", "guessed-secret"));
    let broken = pair_of(BOB, DEMO, "{\"access\":\"x\",\"secret\":\"guessed-secret\"");
    let moved = json!({"access": "pair", "secret": "guessed-secret", "trust_id": "hunter2"});
    let by_id = credential_path(&id_of("pair"));
    let tenant = json!({"tenant_id": DEMO});
    let signed = [
        s3_v4(ACCESS, SECRET, TIME, SCOPE),
        s3_v1(ACCESS, SECRET, "Fri, 02 Jan 2026 03:04:05 GMT"),
        s3_v4(ACCESS, "hunter2", TIME, SCOPE),
        s3_v4("unknown", SECRET, TIME, SCOPE),
        s3_v4(ACCESS, SECRET, TIME, "hunter2"),
        ec2_v4(ACCESS, SECRET, TIME, "20260102/RegionOne/ec2/aws4_request"),
        ec2_old(2, ACCESS, SECRET, "2026-01-02T03:04:05Z"),
        ec2_old(1, ACCESS, "hunter2", "2026-01-02T03:04:05Z"),
    ];
    let mut calls = vec![
        world.post(CREDENTIALS).json(&pair),
        world.post(CREDENTIALS).json(&stolen),
        world.post(CREDENTIALS).json(&broken),
        world.post(CREDENTIALS).json(&opaque(BOB, "totp", "seed-of-totp")),
        world.get(CREDENTIALS),
        world.get(&by_id),
        world.patch(&by_id).json(&change(&moved.to_string())),
        world.patch(&by_id).json(&change(&blob_of("pair", "changed-secret"))),
        world.get(&ec2_path(BOB, "/pair")),
        world.post(&ec2_path(BOB, "")).json(&tenant),
        world.delete(&by_id),
    ];
    let mut kept = Vec::new();
    for body in &signed {
        let path = if body["credentials"]["token"].is_string() { S3TOKENS } else { EC2TOKENS };
        calls.push(world.post(path).json(body));
        for name in ["signature", "token"] {
            kept.extend(body["credentials"][name].as_str().map(ToOwned::to_owned));
        }
    }
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.token("dev-admin").send().await);
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    let expected = [
        201, 409, 400, 201, 200, 200, 400, 200, 200, 201, 204, // credentials
        200, 200, 401, 404, 401, 200, 200, 401, // signatures
    ];
    assert_eq!(statuses, expected);
    let made = answers[9].json();
    kept.push(made["credential"]["secret"].as_str().unwrap().to_owned());
    kept.extend(V3_SECRETS.map(ToOwned::to_owned));
    (answers, kept)
}

#[tokio::test]
async fn v3_logs_no_secret_blob_signature_or_token() {
    thread_log::listen();
    let signing = Signing::new().await;
    thread_log::take();
    let (_, secrets) = v3_scenario(&signing).await;
    let text = thread_log::take();
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in the log:\n{text}");
    }
    assert!(!text.contains("\"access\""), "a blob is in the log:\n{text}");
    let changes = |event: &str| text.lines().filter(|line| line.contains(event)).count();
    assert_eq!(changes("credential created"), 3, "{text}");
    assert_eq!(changes("credential updated"), 1, "{text}");
    assert_eq!(changes("credential deleted"), 1, "{text}");
}

#[tokio::test]
async fn refusals_of_v3_and_validations_return_no_secret_to_the_client() {
    let (answers, secrets) = v3_scenario(&Signing::new().await).await;
    for answer in &answers {
        let output = format!("{:?} {}", answer.headers, answer.text());
        let validated = answer.text().contains("ec2credential");
        let error = format!("{:?}", answer.error);
        for secret in &secrets {
            assert!(!error.contains(secret), "{secret} in {error}");
            let refused = !answer.status.is_success();
            assert!(!(refused || validated) || !output.contains(secret), "{secret} in {output}");
        }
    }
}

#[tokio::test]
async fn debug_of_every_v3_type_contains_no_secret() {
    let signing = Signing::new().await;
    let (_, secrets) = v3_scenario(&signing).await;
    let body = s3_v4(ACCESS, SECRET, TIME, SCOPE)["credentials"].take();
    let [token, signature] = ["token", "signature"].map(|name| body[name].as_str().unwrap());
    let access = || AccessKey::from_stored(ACCESS);
    let s3 = S3TokensRequest::parse(access(), token, signature).unwrap();
    let params = [("SignatureVersion", "1"), ("Timestamp", "2026-01-02T03:04:05Z")];
    let mut ec2 = Ec2TokensRequest::new(access(), signature);
    ec2.path = Some("hunter2".into());
    ec2.params = params.map(|(name, value)| (name.into(), value.into())).into();
    ec2.headers = [("x".into(), "hunter2".into())].into();
    let stored = signing.world.stored(ACCESS).await.unwrap();
    let scope = CredentialScope::parse(SCOPE).unwrap();
    let key = SigningKey::derive(stored.secret_key().unwrap(), &scope);
    let signer = signing.issuer.signers().remove(0);
    let issued: IssuedToken = signing.issuer.issue(&signer).await.unwrap();
    let output = format!(
        "{s3:?} {ec2:?} {:?} {key:?} {:?} {issued:?} {signer:?} {stored:?} {:?} {:?}",
        ec2.clone().prepare(),
        decoy(),
        stored.blob(),
        signing.world,
    );
    for secret in secrets.iter().map(String::as_str).chain([decoy().expose()]) {
        assert!(!output.contains(secret), "{secret} in {output}");
    }
}
