//! All accepted names of the v2 paths, types, root members and formats.

use serde_json::{Value, json};

use crate::{
    keystone_v2_json::{bobs, ec2, s3},
    world::{BOB, World, percent_encoded},
};

const EC2_TYPES: [&str; 4] = [
    "OS-KSEC2:ec2Credentials",
    "OS-KSEC2-ec2Credentials",
    "OS-KSEC2%3Aec2Credentials",
    "ec2Credentials",
];
const S3_TYPES: [&str; 8] = [
    "OS-KSS3:s3Credentials",
    "OS-KSS3-s3Credentials",
    "OS-KSS3%3as3Credentials",
    "OS-KSS3%3As3Credentials",
    "s3Credentials",
    "s3credentials",
    "S3CREDENTIALS",
    "s3%63redentials",
];
const PASSWORD_TYPES: [&str; 2] = ["passwordCredentials", "password"];

async fn grant(world: &World, body: &Value) {
    let answer = world.post(&bobs("")).token("dev-admin").json(body).send().await;
    assert_eq!(answer.status, 201, "{body}");
}

async fn status(world: &World, method: &str, uri: &str) -> u16 {
    world.call(method, uri).token("dev-admin").send().await.status.as_u16()
}

#[tokio::test]
async fn all_names_of_a_type_are_accepted_in_paths() {
    let world = World::new();
    grant(&world, &ec2()).await;
    grant(&world, &s3()).await;
    for name in EC2_TYPES {
        let answer = world.get(&bobs(&format!("/{name}"))).token("dev-admin").send().await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, ec2()), "{name}");
    }
    for name in S3_TYPES {
        for alias in ["OS-KSADM", "OS-KSS3", "OS-OS-KSS3"] {
            let uri = format!("/v2.0/users/{BOB}/{alias}/credentials/{name}");
            let answer = world.get(&uri).token("dev-admin").send().await;
            assert_eq!((answer.status.as_u16(), answer.json()), (200, s3()), "{uri}");
        }
    }
    for unknown in ["certCredentials", "ec2", "s3", "Password", "OS-KSS3:ec2Credentials", "%20"] {
        for method in ["GET", "DELETE", "POST"] {
            let uri = bobs(&format!("/{unknown}"));
            assert_eq!(status(&world, method, &uri).await, 404, "{method} {unknown}");
        }
    }
}

#[tokio::test]
async fn password_grant_is_found_under_both_names_of_its_type() {
    let world = World::new();
    grant(&world, &json!({"passwordCredentials": {"username": "amy", "password": "p"}})).await;
    for name in PASSWORD_TYPES {
        assert_eq!(status(&world, "GET", &bobs(&format!("/{name}"))).await, 200, "{name}");
    }
}

#[tokio::test]
async fn list_by_type_accepts_two_names_of_one_type() {
    let world = World::new();
    grant(&world, &s3()).await;
    for (outer, inner) in S3_TYPES.iter().zip(S3_TYPES.iter().rev()) {
        let uri = bobs(&format!("/{outer}/{inner}"));
        let answer = world.get(&uri).token("dev-admin").send().await;
        assert_eq!(answer.json()["credentials"], json!([s3()]), "{uri}");
    }
}

#[tokio::test]
async fn all_names_of_a_root_member_are_accepted_and_one_is_returned() {
    for (roots, expected) in [
        (["OS-KSEC2-ec2Credentials", "OS-KSEC2:ec2Credentials", "ec2Credentials"], ec2()),
        (["OS-KSS3:s3Credentials", "OS-KSS3-s3Credentials", "s3Credentials"], s3()),
    ] {
        for root in roots {
            let world = World::new();
            let members = expected.as_object().unwrap().values().next().unwrap();
            let body = json!({root: members});
            let answer = world.post(&bobs("")).token("dev-admin").json(&body).send().await;
            assert_eq!((answer.status.as_u16(), answer.json()), (201, expected.clone()), "{root}");
        }
    }
}

#[tokio::test]
async fn secret_may_be_named_key_as_in_xml() {
    let body = |members: Value| json!({"ec2Credentials": members});
    for (members, status) in [
        (json!({"username": "u", "key": "k", "signature": ""}), 201),
        (json!({"username": "u", "key": "k", "secret": "k", "signature": ""}), 201),
        (json!({"username": "u", "key": "k", "secret": "l", "signature": ""}), 400),
    ] {
        let world = World::new();
        let call = world.post(&bobs("")).token("dev-admin").json(&body(members));
        let answer = call.send().await;
        assert_eq!(answer.status, status);
        if status == 201 {
            assert_eq!(answer.json()["OS-KSEC2-ec2Credentials"]["secret"], "k");
        }
    }
}

#[tokio::test]
async fn suffix_takes_precedence_over_accept() {
    let world = World::new();
    grant(&world, &ec2()).await;
    let format = async |uri: &str, accept: &str| {
        let call = world.get(&bobs(uri)).token("dev-admin").header("accept", accept);
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{uri} {accept}");
        let starts_with_xml = answer.text().starts_with("<?xml");
        assert_eq!(answer.header("content-type") == "application/xml", starts_with_xml);
        if starts_with_xml { "xml" } else { "json" }
    };
    for uri in ["", "/", "/ec2Credentials", "/ec2Credentials/", "/ec2Credentials/ec2Credentials"] {
        assert_eq!(format(uri, "*/*").await, "json");
        assert_eq!(format(uri, "application/xml").await, "xml");
        let versioned = "application/vnd.openstack.identity-v2.0+xml";
        assert_eq!(format(uri, versioned).await, "xml");
        assert_eq!(format(uri, "application/xml;q=0.5, application/json").await, "json");
        for (suffix, other) in [("json", "application/xml"), ("xml", "application/json")] {
            assert_eq!(format(&format!("{uri}.{suffix}"), other).await, suffix, "{uri}");
            let with_query = format!("{uri}.{suffix}?limit=1");
            assert_eq!(format(&with_query, other).await, suffix, "{with_query}");
        }
    }
}

#[tokio::test]
async fn media_types_may_have_a_version_and_parameters() {
    for media_type in [
        "application/json",
        "application/json; charset=UTF-8",
        "APPLICATION/JSON",
        "application/vnd.openstack.identity-v2.0+json",
    ] {
        let world = World::new();
        let call = world.post(&bobs("")).token("dev-admin");
        let answer = call.text(media_type, &ec2().to_string()).send().await;
        assert_eq!(answer.status, 201, "{media_type}");
    }
}

#[tokio::test]
async fn trailing_slash_changes_nothing_and_path_with_a_double_slash_passes_through() {
    let world = World::new();
    let body = ec2();
    let slashed = world.post(&bobs("/")).token("dev-admin").json(&body).send().await;
    assert_eq!(slashed.status, 201);
    assert_eq!(status(&world, "GET", &bobs("/ec2Credentials/")).await, 200);
    assert_eq!(status(&world, "GET", &bobs("/ec2Credentials/ec2Credentials/")).await, 200);
    let updated = world.post(&bobs("/ec2Credentials/")).token("dev-admin").json(&body);
    assert_eq!(updated.send().await.status, 200);
    assert_eq!(status(&world, "DELETE", &bobs("/ec2Credentials/")).await, 204);
    for foreign in [
        bobs("//"),
        bobs("//ec2Credentials"),
        bobs("/ec2Credentials//"),
        bobs("/a/b/c"),
        format!("//v2.0/users/{BOB}/OS-KSADM/credentials"),
        format!("/v2.0//users/{BOB}/OS-KSADM/credentials"),
        "/v2.0/users//OS-KSADM/credentials".into(),
    ] {
        assert_eq!(status(&world, "GET", &foreign).await, 418, "{foreign}");
    }
}

#[tokio::test]
async fn other_paths_of_v2_pass_through() {
    let world = World::new();
    for uri in [
        "/".into(),
        "/v2.0".into(),
        "/v2.0/".into(),
        "/v2.0/tokens".into(),
        "/v2.0/ec2tokens".into(),
        "/v2.0/users".into(),
        format!("/v2.0/users/{BOB}"),
        format!("/v2.0/users/{BOB}/OS-KSADM"),
        format!("/v2.0/users/{BOB}/OS-KSADM/enabled"),
        format!("/v2.0/users/{BOB}/OS-KSADM/credentialsx"),
        format!("/v2.0/users/{BOB}/os-ksadm/credentials"),
        format!("/v2.0/users/{BOB}/OS-KSEC2/credentials"),
        format!("/v2.0/users/{BOB}/OS%2DKSADM/credentials"),
        format!("/v2.0x/users/{BOB}/OS-KSADM/credentials"),
    ] {
        for method in ["GET", "POST", "DELETE", "BREW"] {
            assert_eq!(status(&world, method, &uri).await, 418, "{method} {uri}");
        }
    }
}

#[tokio::test]
async fn user_id_in_the_path_is_decoded_once() {
    let world = World::new();
    let encoded = percent_encoded(BOB);
    let uri = format!("/v2.0/users/{encoded}/OS-KSADM/credentials");
    let answer = world.post(&uri).token("dev-admin").json(&ec2()).send().await;
    assert_eq!(answer.status, 201);
    assert_eq!(world.stored("test_user").await.unwrap().user_id.as_str(), BOB);
    let twice = format!("/v2.0/users/{}/OS-KSADM/credentials", encoded.replace('%', "%25"));
    assert_eq!(status(&world, "GET", &twice).await, 404);
}
