//! A private certificate authority.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    version::{TLS12, TLS13},
};
use time::{Duration, OffsetDateTime};
use tower_credentials::clock::{Clock, SystemClock};

pub const DAY: Duration = Duration::DAY;

/// An authority that tests trust, and nobody else.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The serial number.
    pub serial: u8,
    pub cert: String,
    pub key: String,
}

impl Authority {
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        (params.not_before, params.not_after) = around(-DAY, DAY);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The certificate of the authority, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for loopback addresses that is valid now.
    pub fn issue(&self, serial: u8) -> Pair {
        self.issue_from(serial, -DAY, DAY)
    }

    /// A certificate that is valid from and until these times, relative to now.
    pub fn issue_from(&self, serial: u8, from: Duration, until: Duration) -> Pair {
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = around(from, until);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Pair { serial, cert: cert.pem(), key: key.serialize_pem() }
    }

    /// Trusts this authority only.
    pub fn client_config(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// The versions of TLS that the servers support.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn around(from: Duration, until: Duration) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::from(SystemClock.now());
    (now + from, now + until)
}
