//! Encrypted connections to the front.

use std::{fs, path::Path};

use http::Request;
use http_body_util::Full;
use tempfile::TempDir;
use test_support::{
    process::Running,
    tls::authority::{Authority, VERSIONS},
};

use crate::{
    http::{Answer, Client},
    keystone::{ADMIN, Keystone},
    process::Front,
    raw::ScriptedServer,
    secret_file,
};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Writes a certificate with this serial number, and returns the options of the front for it.
fn write(authority: &Authority, folder: &Path, serial: u8) -> [String; 4] {
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
    let pair = authority.issue(serial);
    secret_file::write(&key, pair.key);
    fs::write(&cert, pair.cert).unwrap();
    let [cert, key] = [cert, key].map(|path| path.to_str().unwrap().to_owned());
    ["--tls-cert".to_owned(), cert, "--tls-key".to_owned(), key]
}

/// Starts a front with a certificate, and a client of it that uses HTTP/2.
async fn start(keystone: &str, arguments: &[&str]) -> (Running, Client, TempDir) {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let options = write(&authority, folder.path(), 1);
    let options = options.each_ref().map(String::as_str);
    let front = Front::of(keystone).arguments(&options).arguments(arguments).start().await;
    let client = Client::tls(&front.url, authority.client_config(&VERSIONS));
    (front, client, folder)
}

async fn get(client: &Client, url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.try_send(request.body(Full::default()).unwrap()).await.unwrap().expect(200)
}

#[tokio::test]
async fn forwarded_headers_say_that_the_client_uses_https() {
    let keystone = ScriptedServer::start(ANSWER).await;
    let (front, client, _folder) = start(&keystone.url, &[]).await;
    let url = format!("{}/v3", front.url);
    get(&client, &url, &[("x-forwarded-proto", "http")]).await;
    let received = keystone.last().to_ascii_lowercase();
    assert!(received.contains("x-forwarded-proto: https\r\n"), "{received}");
    assert!(received.contains(&format!("x-forwarded-host: {}\r\n", front.host())), "{received}");

    let (front, client, _folder) = start(&keystone.url, &["--trust-forwarded"]).await;
    let url = format!("{}/v3", front.url);
    let outer = [("forwarded", "for=192.0.2.7;proto=http"), ("x-forwarded-proto", "http")];
    get(&client, &url, &outer).await;
    let received = keystone.last().to_ascii_lowercase();
    assert!(received.contains("proto=http, for=127.0.0.1;proto=https\r\n"), "{received}");
    assert!(received.contains("x-forwarded-proto: http\r\n"), "{received}");
}

#[tokio::test]
async fn links_and_printed_commands_use_https() {
    let keystone = Keystone::start().await;
    let (front, client, _folder) = start(&keystone.url, &[]).await;
    assert!(front.url.starts_with("https://"), "{}", front.url);
    let printed = front.stdout();
    assert!(printed.contains(&format!("--os-auth-url {}/v3 ", front.url)), "{printed}");
    assert!(printed.contains(&format!("curl -sS {}/v3/users/", front.url)), "{printed}");
    let link = client.get("/v3/credentials", ADMIN).await.expect(200).json();
    assert_eq!(link["links"]["self"], format!("{}/v3/credentials", front.url));
}

#[tokio::test]
async fn links_start_with_the_base_url() {
    let keystone = Keystone::start().await;
    let arguments = ["--base-url", "https://cloud.example/identity"];
    let front = Front::of(&keystone.url).arguments(&arguments).start().await;
    let link = front.client().get("/v3/credentials", ADMIN).await.expect(200).json();
    assert_eq!(link["links"]["self"], "https://cloud.example/identity/v3/credentials");
}

#[tokio::test]
async fn sighup_replaces_the_certificate() {
    let keystone = ScriptedServer::start(ANSWER).await;
    let (old, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let options = write(&old, folder.path(), 1);
    let options = options.each_ref().map(String::as_str);
    let front = Front::of(&keystone.url).arguments(&options).start().await;
    let url = format!("{}/healthz", front.url);
    get(&Client::tls(&front.url, old.client_config(&VERSIONS)), &url, &[]).await;

    let new = Authority::new();
    write(&new, folder.path(), 2);
    front.signal("HUP");
    front.logged("reloaded the TLS certificate serial=02 ", 1).await;
    get(&Client::tls(&front.url, new.client_config(&VERSIONS)), &url, &[]).await;
    let request = Request::get(&url).body(Full::default()).unwrap();
    let old = Client::tls(&front.url, old.client_config(&VERSIONS));
    old.try_send(request).await.expect_err("the old authority is still in use");
}

#[tokio::test]
async fn certificate_that_cannot_be_used_prevents_the_start() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let options = write(&authority, folder.path(), 1);
    let options = options.each_ref().map(String::as_str);
    let front = Front::of("http://127.0.0.1:1").arguments(&options);
    let (success, _, output) = front.run(&["--import"]).await;
    assert!(!success && output.contains("cannot be used with"), "{output}");
    secret_file::write(options[3], authority.issue(2).key);
    let (success, _, output) = front.run(&["--listen", "127.0.0.1:0"]).await;
    assert!(!success && output.contains("does not match the certificate"), "{output}");
    assert!(!front.database().exists());
}
