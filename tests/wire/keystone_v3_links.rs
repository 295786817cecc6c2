//! The URLs in links and challenges of v3.

use tower_credentials::{ClientTls, Dialect};

use crate::{
    keystone_v3_frames::{paths, signing},
    world::{
        BOB, Call, World,
        v3::{CREDENTIALS, S3TOKENS, Signing, assert_refused, ec2_path, world, world_with},
    },
};

#[tokio::test]
async fn challenge_names_the_service_that_the_client_reached() {
    let Signing { world, .. } = signing().await;
    for (uri, _) in paths() {
        let method = if uri.ends_with("tokens") { "POST" } else { "GET" };
        let base = &uri[..=uri[1..].find('/').unwrap()];
        for call in [
            world.call(method, &uri),
            world.call(method, &uri).token("wrong"),
            world.call(method, &uri).header("authorization", "Bearer"),
            world.call(method, &uri).raw_header("x-auth-token", b"\xff"),
        ] {
            let answer = call.header("host", "keys.test:5000").send().await;
            assert_refused(&answer, 401);
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, format!("Keystone uri=\"http://keys.test:5000{base}\""));
            let message = &answer.json()["error"]["message"];
            assert_eq!(message, "The request you have made requires authentication.");
        }
    }
    let hostile = world.get(CREDENTIALS).raw_header("host", b"\xff\xfe").send().await;
    assert_refused(&hostile, 401);
}

async fn self_link(call: Call) -> String {
    let body = call.token("dev-bob").send().await.json();
    body["links"]["self"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn links_follow_the_host_and_trusted_proxies_only() {
    let forwarded = |world: &World, headers: &[(&str, &str)]| {
        let call = world.get(CREDENTIALS).header("host", "inner:5000");
        headers.iter().fold(call, |call, (name, value)| call.header(name, value))
    };
    let old = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "cloud.example"),
        ("x-forwarded-prefix", "/identity/"),
    ];
    let new = [("forwarded", "for=192.0.2.7;proto=https;host=\"cloud.example:5001\"")];
    let untrusting = world();
    for headers in [&old[..], &new, &[]] {
        let link = self_link(forwarded(&untrusting, headers)).await;
        assert_eq!(link, "http://inner:5000/v3/credentials");
    }
    let trusting = world_with(|builder| builder.trust_forwarded_headers(true));
    for (headers, expected) in [
        (&old[..], "https://cloud.example/identity/v3/credentials"),
        (&new, "https://cloud.example:5001/v3/credentials"),
        (&[], "http://inner:5000/v3/credentials"),
        (&[("x-forwarded-host", "a\"b")], "http://inner:5000/v3/credentials"),
        (&[("x-forwarded-host", "a/b")], "http://inner:5000/v3/credentials"),
        (&[("x-forwarded-proto", "javascript")], "http://inner:5000/v3/credentials"),
        (&[("x-forwarded-host", "one.example, two")], "http://one.example/v3/credentials"),
    ] {
        assert_eq!(self_link(forwarded(&trusting, headers)).await, expected, "{headers:?}");
    }
    let challenged = forwarded(&trusting, &old).send().await;
    let expected = "Keystone uri=\"https://cloud.example/identity/v3\"";
    assert_eq!(challenged.header("www-authenticate"), expected);
    let based = world_with(|builder| {
        builder.base_url("https://proxy.test/keys/").trust_forwarded_headers(true)
    });
    let link = self_link(forwarded(&based, &old)).await;
    assert_eq!(link, "https://proxy.test/keys/v3/credentials");
    let uri = "https://h2.test/v3/credentials?type=ec2";
    assert_eq!(self_link(untrusting.get(uri)).await, uri);
    assert_eq!(self_link(untrusting.get(CREDENTIALS)).await, CREDENTIALS);
}

#[tokio::test]
async fn links_have_https_on_an_encrypted_connection() {
    let trusting = || world_with(|builder| builder.trust_forwarded_headers(true));
    let tls = ClientTls::Version(Some(1.3));
    for (world, tls, proto, expected) in [
        (world(), tls, None, "https://h:1"),
        (world(), ClientTls::Version(None), None, "https://h:1"),
        (world(), ClientTls::None, None, "http://h:1"),
        (world(), tls, Some("http"), "https://h:1"),
        (trusting(), tls, None, "https://h:1"),
        (trusting(), tls, Some("http"), "http://h:1"),
        (world_with(|builder| builder.base_url("http://base")), tls, None, "http://base"),
    ] {
        let call = world.get(CREDENTIALS).header("host", "h:1").extension(tls);
        let call = proto.into_iter().fold(call, |call, it| call.header("x-forwarded-proto", it));
        let link = self_link(call).await;
        assert_eq!(link, format!("{expected}{CREDENTIALS}"), "{tls:?} {proto:?}");
    }
    // On HTTP/2, the scheme in the request does not count.
    let call = world().get("http://h2.test/v3/credentials").extension(tls);
    assert_eq!(self_link(call).await, "https://h2.test/v3/credentials");
    let call = world().get(CREDENTIALS).header("host", "h:1").extension(tls);
    let challenge = call.send().await;
    assert_eq!(challenge.header("www-authenticate"), "Keystone uri=\"https://h:1/v3\"");
}

#[tokio::test]
async fn dialect_is_served_under_another_prefix_and_its_links_have_the_prefix() {
    let world = world_with(|builder| builder.prefix(Dialect::KeystoneV3, "/identity/v3"));
    let call = |uri: &str| world.get(uri).header("host", "h");
    assert_eq!(
        self_link(call("/identity/v3/credentials")).await,
        "http://h/identity/v3/credentials"
    );
    let uri = format!("/identity{}", ec2_path(BOB, ""));
    assert_eq!(self_link(call(&uri)).await, format!("http://h{uri}"));
    let challenge = call("/identity/v3/credentials").send().await;
    let expected = "Keystone uri=\"http://h/identity/v3\"";
    assert_eq!(challenge.header("www-authenticate"), expected);
    assert_eq!(world.get(CREDENTIALS).token("dev-bob").send().await.status, 418);
    assert_eq!(world.post(S3TOKENS).token("dev-service").send().await.status, 418);
}

#[tokio::test]
async fn challenge_does_not_repeat_a_host_that_would_end_its_quotes() {
    let world = world();
    for (host, expected) in [
        ("x\", realm=\"y", "Keystone"),
        ("x\\", "Keystone"),
        ("[2001:db8::1]:5000", "Keystone uri=\"http://[2001:db8::1]:5000/v3\""),
    ] {
        let challenge = world.get(CREDENTIALS).header("host", host).send().await;
        assert_refused(&challenge, 401);
        assert_eq!(challenge.header("www-authenticate"), expected);
        let link = self_link(world.get(CREDENTIALS).header("host", host)).await;
        assert_eq!(link, format!("http://{host}/v3/credentials"), "JSON escapes the host");
    }
}
