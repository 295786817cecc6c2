//! Clusters that are talked to in secret.

use std::{fs, path::Path, process::Command, time::Duration};

use tempfile::TempDir;
use tower_credentials::backend::{
    CredentialBackend,
    etcd::{EtcdBackend, OpenErrorKind},
};

use crate::installed;
use crate::{cluster, insert, pair, report};

/// An authority of the test's own, and a certificate of this machine from it.
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

    fn pem(&self) -> Vec<u8> {
        fs::read(Path::new(&self.path("ca.pem"))).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_certificates_of_a_private_authority_is_trusted_by_who_knows_it() {
    let Some(authority) = Authority::new() else { return };
    let (certificate, key) = (authority.path("member.pem"), authority.path("member.key"));
    let arguments = ["--cert-file", &certificate, "--key-file", &key];
    let Some(cluster) = cluster(3, &arguments) else { return };
    let builder = EtcdBackend::from_url(&cluster.url()).unwrap();
    // The members may still be looking for their leader.
    let patient = builder.clone().timeout(Duration::from_mins(1));
    let backend = patient.root_certificate_pem(authority.pem()).connect().await.unwrap();
    let record = pair("bob");
    insert(&backend, &record).await.unwrap();
    assert_eq!(backend.get(&record.id).await.unwrap(), Some(record));

    let brief = builder.timeout(Duration::from_secs(1));
    let stranger = Authority::new().unwrap();
    for distrusting in [brief.clone().root_certificate_pem(stranger.pem()), brief] {
        let error = distrusting.connect().await.unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::Unreachable, "{}", report(&error));
        assert!(report(&error).contains("certificate"), "{}", report(&error));
    }
}
