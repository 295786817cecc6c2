//! The log line of each request.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use crate::{
    clients::rusty_s3::Store,
    http::Raw,
    keys::{Key, mint, secret_of},
    process::{Program, Running, Server},
};

/// The lines of requests.
fn lines(server: &Running) -> Vec<String> {
    let log = server.stderr();
    log.lines().filter(|line| line.contains(" requests: ")).map(str::to_owned).collect()
}

pub async fn each_request_is_one_line_without_its_query(program: Program) {
    let server = Server::new(program).start().await;
    let client = server.client();
    let key = mint(&client, "dev-alice").await;
    let store = Store::new(&client, &server.url, "bucket", &key);
    store.create().await.expect(200);
    client.send(Method::PUT, &store.put_url("an-object"), "content").await.expect(200);
    let read = client.send(Method::GET, &store.get_url("an-object"), "").await.expect(200);
    client.get("/credentials?marker=a-marker", "dev-alice").await.expect(200);
    client.get("/v3/credentials", "a-wrong-token").await.expect(401);
    client.get("/healthz", "").await.expect(200);
    server.logged(" requests: ", 7).await;

    let lines = lines(&server);
    let expected = [
        ("POST", "ibm_cos create", 201),
        ("PUT", "/bucket/", 200),
        ("PUT", "/bucket/an-object", 200),
        ("GET", "/bucket/an-object", 200),
        ("GET", "ibm_cos list", 200),
        ("GET", "keystone_v3 list", 401),
        ("GET", "/healthz", 200),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    let mut ids = BTreeSet::new();
    for (line, (method, route, status)) in lines.iter().zip(expected) {
        let start =
            format!("request method=\"{method}\" route=\"{route}\" status={status} time_ms=");
        assert!(line.contains(&start), "{line}");
        assert!(line.contains(" source=127.0.0.1") && !line.contains("cut_off"), "{line}");
        ids.insert(line.split("request_id=").nth(1).unwrap().split(' ').next().unwrap());
    }
    assert_eq!(ids.len(), lines.len(), "{lines:#?}");
    assert!(ids.contains(read.header("x-request-id")), "{ids:?}");
    assert!(lines[3].contains(" bytes=7 "), "{}", lines[3]);
    let log = server.stderr();
    for secret in ["X-Amz-Signature", "a-marker", "a-wrong-token", &key.access, &key.secret] {
        let found = lines.iter().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
    assert!(!log.contains(&key.secret));
}

pub async fn long_paths_and_methods_are_cut(program: Program) {
    let server = Server::new(program).start().await;
    let method = "M".repeat(2_000);
    let (path, bytes) = ("p".repeat(5_000), "\u{202e}".repeat(2_000));
    for target in [path, bytes] {
        let mut raw = Raw::connect(server.host()).await;
        raw.send(format!(
            "{method} /{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ))
        .await;
        assert!(raw.receive_all().await.starts_with("HTTP/1.1 "));
    }
    server.logged(" requests: ", 2).await;
    for line in lines(&server) {
        assert!(line.contains("method=\"other\"") && line.contains("...\""), "{line}");
        assert!(line.len() < 600 && line.is_ascii(), "{line}");
    }
}

pub async fn request_that_is_cut_off_is_logged(program: Program) {
    let server = Server::new(program).start().await;
    let mut raw = Raw::connect(server.host()).await;
    raw.send(
        "POST /credentials HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: dev-alice\r\n\
         Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    )
    .await;
    raw.receive_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    drop(raw);
    server.logged(" requests: ", 1).await;
    let cut = lines(&server).pop().unwrap();
    let route = "method=\"POST\" route=\"ibm_cos create\" status=400 time_ms=";
    assert!(cut.contains(route), "{cut}");

    // Larger than the buffers of the sockets.
    let key = mint(&server.client(), "dev-alice").await;
    let store = Store::new(&server.client(), &server.url, "bucket", &key);
    store.create().await.expect(200);
    store.put("large", vec![b'x'; 32 << 20]).await.expect(200);
    let url = store.get_url("large");
    let path = url.strip_prefix(&server.url).unwrap();
    let mut raw = Raw::connect(server.host()).await;
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.host())).await;
    raw.receive_until("xxx").await;
    drop(raw);
    server.logged("cut_off=true", 1).await;
    let cut = lines(&server).pop().unwrap();
    assert!(cut.contains("route=\"/bucket/large\" status=200 "), "{cut}");
}

pub async fn json_lines_have_the_same_fields(program: Program) {
    let server = Server::new(program).arguments(&["--log-format", "json"]).start().await;
    let client = server.client();
    let Key { access, secret } = mint(&client, "dev-alice").await;
    let mut raw = Raw::connect(server.host()).await;
    raw.send("GET /a\"b\\c\u{202e}%0a{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(raw.receive_all().await.starts_with("HTTP/1.1 "));
    server.logged("\"target\":\"requests\"", 2).await;
    let log = server.stderr();
    assert!(!log.contains(&secret) && !log.contains(&secret_of("x")), "{log}");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["target"] == "requests").collect();
    let &[create, hostile] = &requests[..] else { panic!("{log}") };
    assert_eq!((&create["level"], &create["message"]), (&"INFO".into(), &"request".into()));
    assert_eq!(create["route"], "ibm_cos create");
    assert_eq!((&create["method"], &create["status"]), (&"POST".into(), &201.into()));
    assert_eq!(create["source"], "127.0.0.1");
    assert!(create["time_ms"].is_number() && create["bytes"].is_number(), "{create}");
    assert!(create["request_id"].as_str().unwrap().starts_with("req-"), "{create}");
    assert_eq!(hostile["route"], "/a\"b\\c%E2%80%AE%0a{}");
    // The other lines are JSON too.
    let created = lines.iter().find(|line| line["message"] == "credential created").expect(&log);
    assert_eq!(created["access_key"], *access);
}
