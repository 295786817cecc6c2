//! Certificates and keys that a server cannot use.

use std::fs;

use super::{
    authority::{DAY, Pair},
    lab::Files,
};
use crate::secret_file;

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
        let write_pair = |pair: &Pair| {
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
                write_pair(&authority.issue_from(99, -DAY * 10, -DAY));
                format!("the certificate in {cert_name} expired at 20")
            }
            Self::NotYetValid => {
                write_pair(&authority.issue_from(99, DAY, DAY * 10));
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
