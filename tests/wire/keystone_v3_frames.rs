//! Statuses and headers that all responses of v3 and OS-EC2 share.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http_body_util::Full;
use tower_credentials::{RequestId, backend::memory::MemoryBackend};

use crate::world::{
    Answer, BOB, DEMO, World,
    failing::{DownDirectory, End, Flaky, Refusing, Stream},
    v3::{
        CREDENTIALS, EC2TOKENS, S3TOKENS, Signing, assert_framed, assert_refused, create,
        credential_path, ec2, ec2_path, id_of, opaque, tokens, world, world_with,
    },
};

/// Every path with its methods.
pub(crate) fn paths() -> Vec<(String, &'static str)> {
    vec![
        (CREDENTIALS.into(), "GET, HEAD, OPTIONS, POST"),
        (credential_path(&id_of("b")), "DELETE, GET, HEAD, OPTIONS, PATCH"),
        (ec2_path(BOB, ""), "GET, HEAD, OPTIONS, POST"),
        (ec2_path(BOB, "/b"), "DELETE, GET, HEAD, OPTIONS"),
        (ec2_path(BOB, "").replace("/v3", "/v2.0"), "GET, HEAD, OPTIONS, POST"),
        (ec2_path(BOB, "/b").replace("/v3", "/v2.0"), "DELETE, GET, HEAD, OPTIONS"),
        (S3TOKENS.into(), "POST"),
        (EC2TOKENS.into(), "POST"),
    ]
}

pub(crate) async fn signing() -> Signing {
    let signing = Signing::new().await;
    create(&signing.world, &ec2(BOB, DEMO, "b")).await;
    signing
}

#[tokio::test]
async fn options_returns_the_methods_of_a_path_to_any_caller() {
    let Signing { world, .. } = signing().await;
    for (uri, allow) in paths() {
        for uri in [uri.clone(), format!("{uri}/"), format!("{uri}?x=y")] {
            let answer = world.call("OPTIONS", &uri).send().await;
            assert_eq!(answer.status, 200, "{uri}");
            assert_eq!(answer.header("allow"), allow, "{uri}");
            assert!(answer.body.is_empty(), "{uri}");
            assert_framed(&answer);
        }
    }
}

#[tokio::test]
async fn other_methods_are_405_with_the_methods_of_the_path_for_any_caller() {
    let Signing { world, .. } = signing().await;
    for (uri, allow) in paths() {
        for method in ["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "TRACE", "BREW", "get"] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            for call in [world.call(method, &uri), world.call(method, &uri).token("dev-admin")] {
                let answer = call.send().await;
                assert_eq!(answer.header("allow"), allow, "{method} {uri}");
                if method == "HEAD" {
                    assert_eq!((answer.status.as_u16(), answer.body.len()), (405, 0));
                } else {
                    assert_refused(&answer, 405);
                }
            }
        }
    }
    assert!(world.is_usable("b").await);
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let Signing { world, .. } = signing().await;
    for (uri, token) in [
        (CREDENTIALS.into(), "dev-bob"),
        (credential_path(&id_of("b")), "dev-bob"),
        (credential_path(&id_of("b")), "dev-alice"),
        (credential_path("missing"), "dev-admin"),
        (ec2_path(BOB, ""), "dev-bob"),
        (ec2_path(BOB, "/b"), "dev-bob"),
        (ec2_path(BOB, "/missing"), "dev-bob"),
        (ec2_path(BOB, "/b"), "wrong token"),
        (format!("{CREDENTIALS}?limit=x"), "dev-bob"),
        (ec2_path(BOB, "/b").replace("/v3", "/v2.0"), "dev-bob"),
    ] {
        let get = world.get(&uri).token(token).send().await;
        let head = world.call("HEAD", &uri).token(token).send().await;
        assert_eq!(head.status, get.status, "{uri}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{uri}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{uri}");
        for name in ["content-type", "vary", "www-authenticate"] {
            assert_eq!(head.header(name), get.header(name), "{uri} {name}");
        }
        assert_framed(&head);
    }
    let anonymous = world.call("HEAD", CREDENTIALS).send().await;
    assert_eq!((anonymous.status.as_u16(), anonymous.body.len()), (401, 0));
}

#[tokio::test]
async fn trailing_slashes_change_nothing_and_other_paths_pass_through() {
    let Signing { world, .. } = signing().await;
    let get = async |uri: &str| world.get(uri).token("dev-bob").send().await.status.as_u16();
    for slashes in ["", "/", "//", "/////"] {
        for uri in [
            CREDENTIALS.into(),
            credential_path(&id_of("b")),
            ec2_path(BOB, ""),
            ec2_path(BOB, "/b"),
        ] {
            assert_eq!(get(&format!("{uri}{slashes}")).await, 200, "{uri}{slashes}");
        }
        assert_eq!(get(&format!("{S3TOKENS}{slashes}")).await, 405);
        assert_eq!(get(&format!("{EC2TOKENS}{slashes}")).await, 405);
    }
    for uri in [
        "/v3",
        "/v3/",
        "/v3/auth/tokens",
        "//v3/credentials",
        "/v3//credentials",
        "/v3/credentials//k",
        "/v3/credentials/k/deeper",
        "/v3/Credentials",
        "/v3/%63redentials",
        "/v3x/credentials",
        "/v3/credentialsx",
        "/v3/s3tokens/x",
        "/v3/ec2tokens/x",
        "/v3/users",
        "/v3/users/u",
        "/v3/users/u/credentials",
        "/v3/users/u/credentials/os-ec2",
        "/v3/users//credentials/OS-EC2",
        "/v3/users/u//credentials/OS-EC2",
        "/v3/users/u/credentials/OS-EC2//k",
        "/v3/users/u/credentials/OS-EC2/k/deeper",
        "/v3/users/u/credentials/OS-EC2x",
        "/v2.0/credentials",
        "/v2.0/s3tokens",
        "/v2.0/ec2tokens",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = world.call(method, uri).token("dev-admin").send().await;
            assert_eq!(answer.status, 418, "{method} {uri}");
            assert_eq!(answer.text(), "short and stout");
        }
    }
}

#[tokio::test]
async fn ids_in_paths_are_decoded_once_and_have_no_slash_or_control_character() {
    let world = world();
    for bad in ["a%2Fb", "%2f", "k%00", "%0A", "%7f", "%ff", "%c2%85"] {
        for uri in [
            credential_path(bad),
            ec2_path(bad, ""),
            ec2_path(bad, "/k"),
            ec2_path(BOB, &format!("/{bad}")),
        ] {
            assert_refused(&world.get(&uri).token("dev-admin").send().await, 400);
            assert_refused(&world.get(&uri).send().await, 400);
        }
    }
    assert_refused(&world.get(&credential_path("a%252Fb")).token("dev-admin").send().await, 404);
    let access = "x%y?z#[]&";
    create(&world, &ec2(BOB, DEMO, access)).await;
    let encoded = "x%25y%3Fz%23%5B%5D%26";
    let shown =
        world.get(&ec2_path(BOB, &format!("/{encoded}"))).token("dev-bob").send().await.json();
    assert_eq!(shown["credential"]["access"], access);
    assert_eq!(shown["credential"]["links"]["self"], ec2_path(BOB, &format!("/{encoded}")));
}

#[tokio::test]
async fn request_ids_are_unique_and_never_those_of_the_client() {
    let world = world();
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let own = "req-11111111-2222-3333-4444-555555555555";
        let call = world.get(CREDENTIALS).token("dev-bob").header("x-openstack-request-id", own);
        let answer = call.send().await;
        assert_framed(&answer);
        assert_ne!(answer.header("x-openstack-request-id"), own);
        assert!(seen.insert(answer.header("x-openstack-request-id").to_owned()));
    }
}

#[tokio::test]
async fn responses_have_the_request_id_that_the_server_inserted() {
    let world = Signing::new().await.world;
    let id = RequestId::parse("from-the.server:1").unwrap();
    for (path, allow) in paths() {
        for method in ["OPTIONS", "GET", "PURGE"] {
            let answer = world.call(method, &path).extension(id.clone()).send().await;
            assert_eq!(answer.header("x-openstack-request-id"), id.as_str(), "{method} {path}");
        }
        assert!(!allow.is_empty());
    }
    let shown = world.get(CREDENTIALS).token("dev-bob").extension(id.clone()).send().await;
    assert_eq!((shown.status.as_u16(), shown.header("x-openstack-request-id")), (200, id.as_str()));
}

/// Sends a create with this content type.
async fn typed(world: &World, content_type: Option<&str>) -> Answer {
    let body = opaque(BOB, "totp", "x").to_string();
    let call = world.post(CREDENTIALS).token("dev-bob").bytes(body.as_bytes());
    content_type.into_iter().fold(call, |call, name| call.header("content-type", name)).send().await
}

#[tokio::test]
async fn json_media_types_and_no_media_type_are_accepted_and_others_are_400() {
    let world = world();
    for good in [
        None,
        Some("application/json"),
        Some("Application/JSON; charset=utf-8"),
        Some("application/vnd.example+json"),
    ] {
        let answer = typed(&world, good).await;
        assert_eq!(answer.status, 201, "{good:?}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    for bad in ["text/plain", "application/xml", "text/json", "multipart/form-data", "", "json"] {
        assert_refused(&typed(&world, Some(bad)).await, 400);
    }
    let accepted = world.get(CREDENTIALS).token("dev-bob").header("accept", "text/html");
    assert_eq!(accepted.send().await.header("content-type"), "application/json");
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_read_only_for_authenticated_callers() {
    let world = world();
    for uri in [CREDENTIALS.into(), ec2_path(BOB, ""), S3TOKENS.into()] {
        let body = || Full::from(vec![b' '; 114_689]);
        let large = world.post(&uri).token("dev-service").body(body()).send().await;
        assert_refused(&large, 413);
        assert_refused(&world.post(&uri).body(body()).send().await, 401);
        let broken = Stream::new(["{"], End::Broken);
        let broken = world.post(&uri).token("dev-service").body(broken).send().await;
        assert_refused(&broken, 400);
    }
    let blob = "x".repeat(114_688 - opaque(BOB, "totp", "").to_string().len());
    create(&world, &opaque(BOB, "totp", &blob)).await;
    let more = world.post(CREDENTIALS).token("dev-bob").json(&opaque(BOB, "totp", &(blob + "x")));
    assert_refused(&more.send().await, 413);
}

#[tokio::test(start_paused = true)]
async fn body_that_does_not_arrive_is_408() {
    let world = world_with(|builder| builder.body_timeout(Duration::from_secs(1)));
    for uri in [CREDENTIALS.into(), ec2_path(BOB, ""), S3TOKENS.into()] {
        let stalled = Stream::new(["{"], End::Stalled);
        assert_refused(&world.post(&uri).token("dev-service").body(stalled).send().await, 408);
    }
}

#[tokio::test]
async fn outages_are_503_with_retry_after_and_without_the_cause() {
    let memory = || Arc::new(MemoryBackend::default());
    let store = Arc::new(Flaky::default());
    store.set_down(true);
    for (world, uris) in [
        (World::of(Refusing::Down, memory(), |builder| builder), 6),
        (World::of(tokens(), store, |builder| builder), 4),
        (world_with(|builder| builder.directory(DownDirectory)), 2),
    ] {
        let calls = [
            world.post(CREDENTIALS).json(&opaque(BOB, "totp", "x")),
            world.get(&ec2_path(BOB, "")),
            world.get(CREDENTIALS),
            world.get(&credential_path("x")),
            world.call("OPTIONS", CREDENTIALS),
            world.post(S3TOKENS),
        ];
        for call in calls.into_iter().take(uris) {
            let answer = call.token("dev-bob").send().await;
            if answer.header("allow").is_empty() {
                assert_refused(&answer, 503);
                assert_eq!(answer.header("retry-after"), "5");
                assert!(!answer.text().contains("db-7"), "{}", answer.text());
            }
        }
    }
    let disabled = World::of(Refusing::Disabled, memory(), |builder| builder);
    assert_refused(&disabled.get(CREDENTIALS).token("x").send().await, 401);
}
