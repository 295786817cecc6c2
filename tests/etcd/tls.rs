//! Connections with TLS.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use tempfile::TempDir;
use tower_credentials::{
    backend::{CredentialBackend, OpenErrorKind, etcd::EtcdBackend},
    tls::TlsConfig,
};

use crate::installed;
use crate::{cluster, insert, pair, report};

/// A certificate authority, with certificates for a member and a client.
struct Authority(TempDir);

impl Authority {
    fn new() -> Option<Self> {
        if !installed::has("openssl", Command::new("openssl").arg("version")) {
            return None;
        }
        let authority = Self(tempfile::tempdir().unwrap());
        fs::write(authority.path("names"), "subjectAltName=IP:127.0.0.1").unwrap();
        for command in [
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
            "req -newkey rsa:2048 -nodes -subj /CN=member -keyout member.key -out member.csr",
            "x509 -req -in member.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile names -out member.pem",
            "req -newkey rsa:2048 -nodes -subj /CN=client -keyout client.key -out client.csr",
            "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile names -out client.pem",
        ] {
            let mut openssl = Command::new("openssl");
            let done = openssl.args(command.split_whitespace()).current_dir(&authority.0).output();
            assert!(done.unwrap().status.success(), "{command}");
        }
        Some(authority)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn tls(&self) -> TlsConfig {
        TlsConfig::new().root_certificates(self.read("ca.pem"))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_authority_is_trusted_only_when_it_is_set() {
    let Some(authority) = Authority::new() else { return };
    let (certificate, key) = (authority.path("member.pem"), authority.path("member.key"));
    let arguments = ["--cert-file", &certificate, "--key-file", &key];
    let Some(cluster) = cluster(3, &arguments) else { return };
    let builder = EtcdBackend::builder(cluster.url());
    // The members may not have elected a leader yet.
    let patient = builder.clone().timeout(Duration::from_mins(1));
    let backend = patient.tls(authority.tls()).build().await.unwrap();
    let record = pair("bob");
    insert(&backend, &record).await.unwrap();
    assert_eq!(backend.get(&record.id).await.unwrap(), Some(record));

    let brief = builder.timeout(Duration::from_secs(1));
    let stranger = Authority::new().unwrap();
    for distrusting in [brief.clone().tls(stranger.tls()), brief] {
        let error = distrusting.build().await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::Unavailable, "{}", report(&error));
        assert!(report(&error).contains("certificate"), "{}", report(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_with_client_cert_auth_accepts_certificates_of_its_authority() {
    let Some(authority) = Authority::new() else { return };
    let (certificate, key) = (authority.path("member.pem"), authority.path("member.key"));
    let trusted = authority.path("ca.pem");
    let arguments = ["--cert-file", &certificate, "--key-file", &key, "--client-cert-auth"];
    let arguments = [&arguments[..], &["--trusted-ca-file", &trusted]].concat();
    let Some(cluster) = cluster(1, &arguments) else { return };
    let url = |authority: &Authority| {
        let (certificate, key) = (authority.path("client.pem"), authority.path("client.key"));
        format!("{}/keys?cacert={trusted}&cert={certificate}&key={key}", cluster.url())
    };
    let patient = EtcdBackend::builder(url(&authority)).timeout(Duration::from_mins(1));
    let backend = patient.build().await.unwrap();
    let record = pair("bob");
    insert(&backend, &record).await.unwrap();

    let bare = EtcdBackend::builder(format!("{}/keys?cacert={trusted}", cluster.url()));
    let (certificate, key) = (authority.read("client.pem"), authority.read("client.key"));
    let shown = bare.clone().tls(TlsConfig::new().client_certificate(certificate.clone(), key));
    assert_eq!(shown.build().await.unwrap().get(&record.id).await.unwrap(), Some(record));

    let stranger = Authority::new().unwrap();
    for refused in [bare.clone(), EtcdBackend::builder(url(&stranger))] {
        let error = refused.timeout(Duration::from_secs(1)).build().await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::Unavailable, "{}", report(&error));
    }
    // A certificate with another key, and a key that other users may read.
    let mixed = TlsConfig::new().client_certificate(certificate, stranger.read("client.key"));
    let error = bare.tls(mixed).build().await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::InvalidSetting, "{}", report(&error));
    fs::set_permissions(authority.path("client.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = EtcdBackend::open(url(&authority)).await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::InvalidSetting);
    assert!(error.to_string().contains("other users have access"), "{error}");
}
