//! Connections with TLS: the server is verified, and so is the client if it must be.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use tower_credentials::{
    backend::{CredentialBackend, OpenErrorKind, postgres::PostgresBackend},
    domain::Quota,
    tls::TlsConfig,
};

use crate::{installed, lab, load::pair};

/// A server with a self-signed certificate for `localhost`, and the path of the certificate.
fn encrypted() -> Option<(lab::Server, std::path::PathBuf)> {
    if !installed::has("openssl", Command::new("openssl").arg("version")) {
        return None;
    }
    let mut server = lab::Server::start(&["fsync = off"])?;
    let (key, certificate) = (server.data().join("server.key"), server.data().join("server.crt"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"]);
    openssl.args(["subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.arg("-keyout").arg(&key).arg("-out");
    assert!(openssl.arg(&certificate).output().unwrap().status.success());
    lab::give_to_server(&key);
    server.stop();
    server.set("ssl = on");
    server.restart();
    // All users may read it there.
    Some((server, certificate))
}

#[tokio::test(flavor = "multi_thread")]
async fn server_is_verified_by_its_name_and_the_trusted_certificates() {
    let Some((server, certificate)) = encrypted() else { return };
    let url = server.database().await.replace("127.0.0.1", "localhost");
    let url = |mode: &str| url.replace("sslmode=disable", &format!("sslmode={mode}"));
    let trusted = format!("{}&sslrootcert={}", url("verify-full"), certificate.display());
    let backend = PostgresBackend::open(&trusted).await.unwrap();
    backend.insert(&pair("amy"), Quota::Unlimited).await.unwrap();
    drop(backend);

    let client = PostgresBackend::builder(url("require"));
    client
        .tls(TlsConfig::new().root_certificates(fs::read(&certificate).unwrap()))
        .build()
        .await
        .unwrap();

    // The certificate is not trusted.
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        let error = PostgresBackend::open(url(mode)).await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::Unavailable, "{mode}: {error:?}");
    }
    // The certificate is for another name.
    let other = trusted.replace("localhost", "127.0.0.1");
    let error = PostgresBackend::open(other).await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Unavailable, "{error:?}");
    for file in ["/nowhere/at.all", "/dev/null"] {
        let url = format!("{}&sslrootcert={file}", url("require"));
        let error = PostgresBackend::open(url).await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::InvalidSetting, "{error:?}");
    }
}

#[tokio::test]
async fn server_without_tls_is_rejected_when_tls_is_required() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    for (mode, works) in [("prefer", true), ("require", false), ("verify-full", false)] {
        let url = url.replace("sslmode=disable", &format!("sslmode={mode}"));
        assert_eq!(PostgresBackend::open(url).await.is_ok(), works, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_replaces_the_password() {
    let Some((mut server, certificate)) = encrypted() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // A self-signed certificate.
    let make = |name: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]);
        openssl.arg(format!("/CN={}", lab::USER)).arg("-keyout").arg(path(&format!("{name}.key")));
        openssl.arg("-out").arg(path(&format!("{name}.pem")));
        assert!(openssl.output().unwrap().status.success());
    };
    make("own");
    make("other");
    let url = server.database().await.replace("127.0.0.1", "localhost");
    server.stop();
    let admitted = server.data().join("client-ca.crt");
    fs::copy(path("own.pem"), &admitted).unwrap();
    lab::give_to_server(&admitted);
    server.set("ssl_ca_file = 'client-ca.crt'");
    let logins = "hostssl all all 127.0.0.1/32 cert\nhostssl all all ::1/128 cert\n";
    fs::write(server.data().join("pg_hba.conf"), logins).unwrap();
    server.restart();

    let url = url.replace(&format!(":{}@", lab::PASSWORD), "@");
    let url = url.replace("sslmode=disable", "sslmode=require");
    let bare = format!("{url}&sslrootcert={}", certificate.display());
    let with = |name: &str| {
        let (certificate, key) = (path(&format!("{name}.pem")), path(&format!("{name}.key")));
        format!("{bare}&sslcert={certificate}&sslkey={key}")
    };
    let backend = PostgresBackend::open(with("own")).await.unwrap();
    backend.insert(&pair("amy"), Quota::Unlimited).await.unwrap();
    let read = |name: &str| fs::read(path(name)).unwrap();
    let shown = PostgresBackend::builder(with("other"));
    shown
        .tls(TlsConfig::new().client_certificate(read("own.pem"), read("own.key")))
        .build()
        .await
        .unwrap();

    for refused in [bare.clone(), with("other")] {
        PostgresBackend::open(refused).await.unwrap_err();
    }
    let mixed = TlsConfig::new().client_certificate(read("own.pem"), read("other.key"));
    let mixed = PostgresBackend::builder(&bare).tls(mixed).build().await;
    assert_eq!(mixed.unwrap_err().kind(), OpenErrorKind::InvalidSetting);
    fs::set_permissions(path("own.key"), fs::Permissions::from_mode(0o644)).unwrap();
    for (wrong, why) in [(with("own"), "chmod 600"), (with("missing"), "missing")] {
        let error = PostgresBackend::open(wrong).await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::InvalidSetting, "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}
