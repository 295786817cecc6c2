//! Certificates that are replaced while the server runs.

use std::fs;

use super::lab::{Files, HEALTH, Lab, exchange, serial};
use crate::{process::Program, secret_file};

/// How a certificate or its key cannot be used.
#[derive(Clone, Copy, Debug)]
pub enum Broken {
    OtherKey,
    Expired,
    NotYetValid,
    NoCertFile,
    NoKeyFile,
    EmptyCert,
    EmptyKey,
    OpenKey,
    CertIsAKey,
    KeyIsACert,
    CertIsNoPem,
    CertIsNoCertificate,
    HalfCert,
    HalfKey,
    EncryptedKey,
    CertIsAFolder,
}

impl Broken {
    pub const ALL: [Self; 16] = [
        Self::OtherKey,
        Self::Expired,
        Self::NotYetValid,
        Self::NoCertFile,
        Self::NoKeyFile,
        Self::EmptyCert,
        Self::EmptyKey,
        Self::OpenKey,
        Self::CertIsAKey,
        Self::KeyIsACert,
        Self::CertIsNoPem,
        Self::CertIsNoCertificate,
        Self::HalfCert,
        Self::HalfKey,
        Self::EncryptedKey,
        Self::CertIsAFolder,
    ];

    /// Breaks the files of a server with a valid certificate; returns a part of the error.
    pub fn apply(self, Files { authority, cert, key, .. }: &Files) -> String {
        let (cert_name, key_name) = (cert.display(), key.display());
        let other = authority.issue(99);
        let write_cert = |text: &str| fs::write(cert, text).unwrap();
        let write_key = |text: &str| secret_file::write(key, text);
        let write_pair = |pair: &super::authority::Pair| {
            write_key(&pair.key);
            write_cert(&pair.cert);
        };
        let half = |text: &str| text[..text.len() / 2].to_owned();
        match self {
            Self::OtherKey => {
                write_key(&other.key);
                format!(
                    "the private key in {key_name} does not match the certificate in {cert_name}"
                )
            }
            Self::Expired => {
                write_pair(&authority.issue_for_days(99, -10, -1));
                format!("the certificate in {cert_name} expired at 20")
            }
            Self::NotYetValid => {
                write_pair(&authority.issue_for_days(99, 1, 10));
                format!("the certificate in {cert_name} is not valid before 20")
            }
            Self::NoCertFile => {
                fs::remove_file(cert).unwrap();
                format!("cannot read {cert_name}: No such file")
            }
            Self::NoKeyFile => {
                fs::remove_file(key).unwrap();
                format!("cannot read {key_name}: No such file")
            }
            Self::EmptyCert => {
                write_cert("");
                format!("{cert_name} is empty")
            }
            Self::EmptyKey => {
                write_key("");
                format!("{key_name} is empty")
            }
            Self::OpenKey => {
                secret_file::set_mode(key, 0o644);
                format!("run `chmod 600 {key_name}`")
            }
            Self::CertIsAKey => {
                write_cert(&other.key);
                format!("{cert_name} contains no certificate in PEM")
            }
            Self::KeyIsACert => {
                write_key(&other.cert);
                format!("{key_name} contains no private key in PEM")
            }
            Self::CertIsNoPem => {
                write_cert("garbage\n");
                format!("{cert_name} contains no certificate in PEM")
            }
            Self::CertIsNoCertificate => {
                write_cert("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
                format!("{cert_name} does not contain a valid X.509 certificate")
            }
            Self::HalfCert => {
                write_cert(&half(&other.cert));
                format!("{cert_name} is not valid PEM: a section has no end")
            }
            Self::HalfKey => {
                write_key(&half(&other.key));
                format!("{key_name} is not valid PEM: a section has no end")
            }
            Self::EncryptedKey => {
                write_key(&other.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"));
                format!("the private key in {key_name} is encrypted")
            }
            Self::CertIsAFolder => {
                fs::remove_file(cert).unwrap();
                fs::create_dir(cert).unwrap();
                cert_name.to_string()
            }
        }
    }
}

pub async fn sighup_replaces_the_certificate_for_new_connections(program: Program) {
    let lab = Lab::start(program).await;
    let mut old = lab.connect().await;
    assert_eq!(serial(&old), 1);
    exchange(&mut old, HEALTH, "ok\n").await;
    lab.files.write(&lab.files.authority.issue(2));
    lab.running.signal("HUP");
    lab.running.logged("reloaded the TLS certificate serial=02 ", 1).await;
    assert_eq!(lab.serial().await, 2);
    // The server does not close connections.
    exchange(&mut old, HEALTH, "ok\n").await;

    // SIGHUP also reads files that have not changed, and the other reloads still work.
    lab.running.signal("HUP");
    lab.running.logged("reloaded the TLS certificate serial=02 ", 2).await;
    lab.running.logged("reloaded identities", 2).await;
    assert_eq!(lab.serial().await, 2);
}

pub async fn changed_files_replace_the_certificate(program: Program) {
    let lab = Lab::start(program).await;
    assert_eq!(lab.serial().await, 1);
    lab.files.write(&lab.files.authority.issue(2));
    lab.waits_for_serial(2).await;

    // Also if other files take their places.
    let next = lab.files.authority.issue(3);
    let [cert, key] = ["cert.new", "key.new"].map(|name| lab.files.server.home().join(name));
    secret_file::write(&key, &next.key);
    fs::write(&cert, &next.cert).unwrap();
    fs::rename(key, &lab.files.key).unwrap();
    fs::rename(cert, &lab.files.cert).unwrap();
    lab.waits_for_serial(3).await;
}

pub async fn broken_files_leave_the_old_certificate_in_use(program: Program) {
    const FAILED: &str = "cannot reload the TLS certificate, keeping the old one";
    let lab = Lab::start(program).await;
    // One server for all cases: each starts with the valid files.
    let valid = lab.files.authority.issue(2);
    lab.files.write(&valid);
    lab.waits_for_serial(2).await;
    let mut failures = 0;
    for (n, broken) in Broken::ALL.into_iter().enumerate() {
        let message = broken.apply(&lab.files);
        // Every other case is found without a signal.
        if n % 2 == 0 {
            lab.running.signal("HUP");
        }
        failures += 1;
        lab.running.logged(FAILED, failures).await;
        let log = lab.running.stderr();
        let line = log.lines().rfind(|line| line.contains(FAILED)).unwrap_or_default();
        assert!(line.contains(&message), "{broken:?}: {line}");
        assert_eq!(lab.serial().await, 2, "{broken:?}");
        exchange(&mut lab.connect().await, HEALTH, "ok\n").await;

        if lab.files.cert.is_dir() {
            fs::remove_dir(&lab.files.cert).unwrap();
        }
        let reloads = log.matches("reloaded the TLS certificate").count();
        lab.files.write(&valid);
        lab.running.signal("HUP");
        lab.running.logged("reloaded the TLS certificate", reloads + 1).await;
        // The files may have been read between the two writes.
        failures = lab.running.stderr().matches(FAILED).count();
    }
    lab.files.write(&lab.files.authority.issue(3));
    lab.waits_for_serial(3).await;
    let log = lab.running.stderr();
    assert!(!log.contains("panicked"), "{log}");
    let secret = valid.key.lines().nth(1).unwrap();
    assert!(!log.contains(secret), "{log}");
}

pub async fn half_written_files_are_read_again(program: Program) {
    const FAILED: &str = "cannot reload the TLS certificate, keeping the old one";
    let lab = Lab::start(program).await;
    let next = lab.files.authority.issue(2);
    fs::write(&lab.files.cert, &next.cert[..next.cert.len() / 2]).unwrap();
    lab.running.logged(FAILED, 1).await;
    assert_eq!(lab.serial().await, 1);
    // The certificate is complete, the key is not.
    fs::write(&lab.files.cert, &next.cert).unwrap();
    fs::write(&lab.files.key, &next.key[..next.key.len() / 2]).unwrap();
    lab.running.logged(FAILED, 2).await;
    assert_eq!(lab.serial().await, 1);
    fs::write(&lab.files.key, &next.key).unwrap();
    lab.waits_for_serial(2).await;
}
