//! The operations of v2 in JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::world::{ALICE, Answer, BOB, CAROL, DEMO, World};

/// The body in the documentation of the grant.
pub(crate) fn ec2() -> Value {
    json!({"OS-KSEC2-ec2Credentials": {
        "username": "test_user", "secret": "secretsecret", "signature": "bbb",
    }})
}

pub(crate) fn s3() -> Value {
    json!({"OS-KSS3:s3Credentials": {
        "username": "test_user-s3", "secret": "s3cret", "signature": "",
    }})
}

pub(crate) fn password() -> Value {
    json!({"passwordCredentials": {"username": "amy", "password": "correct horse"}})
}

/// The path of Bob's credentials, followed by `rest`.
pub(crate) fn bobs(rest: &str) -> String {
    format!("/v2.0/users/{BOB}/OS-KSADM/credentials{rest}")
}

fn bobs_s3(rest: &str) -> String {
    format!("/v2.0/users/{BOB}/OS-KSS3/credentials{rest}")
}

const EC2: &str = "/OS-KSEC2:ec2Credentials";

async fn grant(world: &World, uri: &str, body: &Value) -> Answer {
    world.post(uri).token("dev-admin").json(body).send().await
}

async fn send(world: &World, method: &str, uri: &str) -> Answer {
    world.call(method, uri).token("dev-admin").send().await
}

#[tokio::test]
async fn k2_grant_returns_the_grant() {
    let world = World::new();
    let answer = grant(&world, &bobs(""), &ec2()).await;
    assert_eq!(answer.status, 201);
    let expected = "{\"OS-KSEC2-ec2Credentials\":{\"username\":\"test_user\",\
                    \"secret\":\"secretsecret\",\"signature\":\"bbb\"}}\n";
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("date"), "Fri, 18 Mar 2016 00:56:04 GMT");
    assert_eq!(answer.header("vary"), "Accept, X-Auth-Token");
    assert_eq!(answer.header("cache-control"), "no-store");

    let stored = world.stored("test_user").await.unwrap();
    assert!(stored.is_usable(std::time::UNIX_EPOCH));
    assert_eq!(stored.user_id.as_str(), BOB);
    assert_eq!(stored.project_id.as_ref().unwrap().as_str(), DEMO);
}

#[tokio::test]
async fn k1_list_shows_all_credentials_of_the_user_and_key_pairs_of_other_dialects() {
    let world = World::new();
    let empty = send(&world, "GET", &bobs("")).await;
    assert_eq!(empty.status, 200);
    assert_eq!(empty.json(), json!({"credentials": [], "credentials_links": []}));

    for body in [ec2(), s3(), password()] {
        assert_eq!(grant(&world, &bobs(""), &body).await.status, 201);
    }
    world.mint(BOB, DEMO, "minted").await;
    world.mint(ALICE, DEMO, "alices").await;

    let page = send(&world, "GET", &bobs("")).await;
    assert_eq!(page.status, 200);
    let page = page.json();
    let listed = page["credentials"].as_array().unwrap();
    let minted = json!({"OS-KSEC2-ec2Credentials": {
        "username": "minted", "secret": "secret-of-minted", "signature": "",
    }});
    let password = json!({"passwordCredentials": {"username": "amy"}});
    assert_eq!(listed.len(), 4, "{page}");
    for credential in [ec2(), s3(), password, minted] {
        assert!(listed.contains(&credential), "{credential} in {page}");
    }
    assert_eq!(page["credentials_links"], json!([]));
}

#[tokio::test]
async fn k3_get_by_type_returns_the_grant_of_that_type_only() {
    let world = World::new();
    world.mint(BOB, DEMO, "minted").await;
    assert_eq!(send(&world, "GET", &bobs(EC2)).await.status, 404, "the key is not a grant");

    grant(&world, &bobs(""), &ec2()).await;
    let answer = send(&world, "GET", &bobs(EC2)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, ec2()));
    assert_eq!(send(&world, "GET", &bobs("/OS-KSS3:s3Credentials")).await.status, 404);
    assert_eq!(send(&world, "GET", &bobs("/passwordCredentials")).await.status, 404);
}

#[tokio::test]
async fn k4_update_by_type_is_a_post_on_the_member_and_keeps_the_name() {
    let world = World::new();
    assert_eq!(grant(&world, &bobs(EC2), &ec2()).await.status, 404, "no grant to update");
    grant(&world, &bobs(""), &ec2()).await;

    let changed = json!({"OS-KSEC2-ec2Credentials": {
        "username": "test_user", "secret": "new secret", "signature": "ccc",
    }});
    let answer = grant(&world, &bobs(EC2), &changed).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, changed.clone()));
    assert_eq!(send(&world, "GET", &bobs(EC2)).await.json(), changed);
    let stored = world.stored("test_user").await.unwrap();
    assert_eq!(stored.secret_key().unwrap().expose(), "new secret");

    let mut renamed = changed.clone();
    renamed["OS-KSEC2-ec2Credentials"]["username"] = "another".into();
    assert_eq!(grant(&world, &bobs(EC2), &renamed).await.status, 400);
    assert_eq!(grant(&world, &bobs(EC2), &s3()).await.status, 400, "the body has another type");
    assert_eq!(send(&world, "GET", &bobs(EC2)).await.json(), changed);
    assert!(world.stored("another").await.is_none());
}

#[tokio::test]
async fn k4_update_of_a_disabled_key_leaves_it_disabled() {
    let world = World::new();
    grant(&world, &bobs(""), &ec2()).await;
    let body = json!({"credential": {"blob": {"status": "Inactive"}}});
    let call = world.patch("/credentials/test_user").token("dev-admin").json(&body);
    assert_eq!(call.send().await.status, 200);
    assert_eq!(grant(&world, &bobs(EC2), &ec2()).await.status, 200);
    assert!(!world.is_usable("test_user").await);
}

#[tokio::test]
async fn k5_delete_by_type_empties_the_slot_and_nothing_else() {
    let world = World::new();
    world.mint(BOB, DEMO, "minted").await;
    grant(&world, &bobs(""), &ec2()).await;
    grant(&world, &bobs(""), &s3()).await;

    let answer = send(&world, "DELETE", &bobs(EC2)).await;
    assert_eq!(answer.status, 204);
    assert!(answer.body.is_empty() && !answer.headers.contains_key("content-type"));
    assert!(world.stored("test_user").await.is_none());
    assert_eq!(send(&world, "DELETE", &bobs(EC2)).await.status, 404);
    assert!(world.is_usable("minted").await && world.is_usable("test_user-s3").await);
    assert_eq!(grant(&world, &bobs(""), &ec2()).await.status, 201);
}

#[tokio::test]
async fn k6_list_by_type_shows_credentials_of_the_type() {
    let world = World::new();
    for body in [ec2(), s3(), password()] {
        grant(&world, &bobs(""), &body).await;
    }
    world.mint(BOB, DEMO, "minted").await;
    for (name, length) in
        [("OS-KSEC2:ec2Credentials", 2), ("OS-KSS3:s3Credentials", 1), ("passwordCredentials", 1)]
    {
        let answer = send(&world, "GET", &bobs(&format!("/{name}/{name}"))).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["credentials"].as_array().unwrap().len(), length, "{name}");
        assert_eq!(answer.json()["credentials_links"], json!([]));
    }
    let none = format!("/v2.0/users/{CAROL}/OS-KSADM/credentials{EC2}{EC2}");
    let none = send(&world, "GET", &none).await;
    assert_eq!((none.status.as_u16(), &none.json()["credentials"]), (200, &json!([])));
    let mixed = bobs(&format!("{EC2}/OS-KSS3:s3Credentials"));
    assert_eq!(send(&world, "GET", &mixed).await.status, 404);
}

#[tokio::test]
async fn k7_list_under_os_kss3_shows_s3_credentials_only() {
    let world = World::new();
    for body in [ec2(), s3(), password()] {
        grant(&world, &bobs(""), &body).await;
    }
    let answer = send(&world, "GET", &bobs_s3("")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"credentials": [s3()], "credentials_links": []}));
}

#[tokio::test]
async fn k8_grant_under_os_kss3_grants_s3_credentials_only() {
    let world = World::new();
    let answer = grant(&world, &bobs_s3(""), &s3()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (201, s3()));
    assert!(world.is_usable("test_user-s3").await);
    for body in [ec2(), password()] {
        assert_eq!(grant(&world, &bobs_s3(""), &body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn k9_get_under_os_kss3_returns_the_s3_credential() {
    let world = World::new();
    grant(&world, &bobs(""), &s3()).await;
    grant(&world, &bobs(""), &ec2()).await;
    let answer = send(&world, "GET", &bobs_s3("/s3credentials")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, s3()));
    assert_eq!(send(&world, "GET", &bobs_s3(EC2)).await.status, 404);
}

#[tokio::test]
async fn k10_update_under_os_kss3_is_a_post_on_the_member() {
    let world = World::new();
    grant(&world, &bobs_s3(""), &s3()).await;
    let mut changed = s3();
    changed["OS-KSS3:s3Credentials"]["secret"] = "changed".into();
    let answer = grant(&world, &bobs_s3("/s3credentials"), &changed).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, changed.clone()));
    assert_eq!(send(&world, "GET", &bobs("/s3credentials")).await.json(), changed);
}

#[tokio::test]
async fn k11_delete_under_os_kss3_deletes_the_s3_credential() {
    let world = World::new();
    grant(&world, &bobs(""), &s3()).await;
    grant(&world, &bobs(""), &ec2()).await;
    assert_eq!(send(&world, "DELETE", &bobs_s3(EC2)).await.status, 404);
    assert_eq!(send(&world, "DELETE", &bobs_s3("/s3credentials")).await.status, 204);
    assert!(world.stored("test_user-s3").await.is_none());
    assert!(world.is_usable("test_user").await);
}

#[tokio::test]
async fn k12_list_by_type_under_os_kss3_shows_s3_credentials() {
    let world = World::new();
    grant(&world, &bobs(""), &s3()).await;
    grant(&world, &bobs(""), &ec2()).await;
    let answer = send(&world, "GET", &bobs_s3("/s3credentials/s3credentials")).await;
    assert_eq!(answer.json(), json!({"credentials": [s3()], "credentials_links": []}));
    assert_eq!(send(&world, "GET", &bobs_s3(&format!("{EC2}{EC2}"))).await.status, 404);
}

#[tokio::test]
async fn lists_are_paged_by_limit_and_followed_by_links() {
    let world = World::new();
    for number in 0..7 {
        world.mint(BOB, DEMO, &format!("key-{number}")).await;
    }
    world.mint(ALICE, DEMO, "alices").await;
    let (mut seen, mut pages) = (String::new(), 0);
    let mut uri = Some(bobs("?limit=3"));
    while let Some(at) = uri {
        let call = world.get(&at).token("dev-admin").header("host", "keys.test:8080");
        let page = call.send().await.json();
        for credential in page["credentials"].as_array().unwrap() {
            let name = credential["OS-KSEC2-ec2Credentials"]["username"].as_str().unwrap();
            assert!(!seen.contains(name), "duplicate {name}");
            writeln!(seen, "{name}").unwrap();
        }
        pages += 1;
        let link = &page["credentials_links"][0];
        uri = link["href"].as_str().map(ToOwned::to_owned);
        if let Some(uri) = &uri {
            assert_eq!(link["rel"], "next");
            assert!(uri.starts_with(&format!("http://keys.test:8080{}?", bobs(""))), "{uri}");
        }
    }
    assert_eq!((seen.lines().count(), pages), (7, 3));
}

#[tokio::test]
async fn links_start_with_the_base_url_or_are_relative_without_a_host() {
    let href = async |world: &World, uri: &str, host: Option<&str>| {
        for access in ["a", "b"] {
            world.mint(BOB, DEMO, access).await;
        }
        let call = world.get(uri).token("dev-admin");
        let call = host.into_iter().fold(call, |call, host| call.header("host", host));
        let page = call.send().await.json();
        page["credentials_links"][0]["href"].as_str().unwrap().to_owned()
    };
    let uri = bobs("?limit=1");
    let based = || World::with(|builder| builder.base_url("https://proxy.test/keys/"));
    let link = href(&based(), &uri, Some("inner:80")).await;
    assert!(link.starts_with(&format!("https://proxy.test/keys{}?marker=", bobs(""))), "{link}");
    let link = href(&World::new(), &uri, None).await;
    assert!(link.starts_with(&format!("{}?marker=", bobs(""))), "{link}");
    let link = href(&World::new(), &format!("https://h2.test{uri}"), None).await;
    assert!(link.starts_with(&format!("https://h2.test{}?marker=", bobs(""))), "{link}");
}

#[tokio::test]
async fn marker_that_is_not_the_id_of_a_record_of_the_same_user_is_404() {
    let world = World::new();
    world.mint(BOB, DEMO, "b").await;
    world.mint(ALICE, DEMO, "a").await;
    let alices = world.stored("a").await.unwrap();
    for marker in ["nothing", "b", "%00", alices.id.as_str()] {
        let answer = send(&world, "GET", &bobs(&format!("?marker={marker}"))).await;
        assert_eq!(answer.status, 404, "{marker}");
        assert_eq!(answer.json()["itemNotFound"]["code"], 404);
    }
    let last = world.stored("b").await.unwrap().id.to_string();
    let page = send(&world, "GET", &bobs(&format!("?marker={last}"))).await;
    assert_eq!(page.json()["credentials"], json!([]));
    assert_eq!(send(&world, "GET", &bobs("?marker=")).await.status, 200);
}

#[tokio::test]
async fn limit_must_be_a_whole_number_and_large_limits_are_clamped() {
    let world = World::new();
    world.mint(BOB, DEMO, "a").await;
    for (limit, length) in [("0", 0), ("1", 1), ("1000000000", 1)] {
        let page = send(&world, "GET", &bobs(&format!("?limit={limit}"))).await.json();
        assert_eq!(page["credentials"].as_array().unwrap().len(), length, "{limit}");
    }
    for bad in ["-1", "abc", "", "1.5"] {
        let answer = send(&world, "GET", &bobs(&format!("?limit={bad}"))).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
}
