//! Signs requests with Amazon's crate `aws-sigv4`.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
        SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use http::Request;

/// A signer: its key, and the region, service and time of its signatures.
#[derive(Clone, Debug)]
pub struct Signer {
    pub access: String,
    pub secret: String,
    pub region: String,
    pub service: String,
    pub time: SystemTime,
    /// The lifetime of presigned requests. `None` signs the header.
    pub expires_in: Option<Duration>,
    /// The declaration of the body.
    pub payload: Payload,
    /// Whether a request that is signed in the header has `x-amz-content-sha256`.
    pub declares_body: bool,
}

#[derive(Clone, Debug)]
pub enum Payload {
    Bytes(Vec<u8>),
    /// This value of `x-amz-content-sha256`.
    Named(String),
    Unsigned,
}

impl Signer {
    pub fn new(access: &str, secret: &str, time: SystemTime) -> Self {
        Self {
            access: access.into(),
            secret: secret.into(),
            region: "us-east-1".into(),
            service: "s3".into(),
            time,
            expires_in: None,
            payload: Payload::Bytes(Vec::new()),
            declares_body: true,
        }
    }

    /// For another service than S3, whose clients do not declare the body.
    pub fn service(mut self, service: &str) -> Self {
        self.service = service.into();
        self.declares_body = service == "s3";
        self
    }

    pub fn presigning(mut self, expires_in: Duration) -> Self {
        self.expires_in = Some(expires_in);
        self.payload = Payload::Unsigned;
        self
    }

    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = Payload::Bytes(bytes.into());
        self
    }

    pub fn payload(mut self, named: &str) -> Self {
        self.payload = Payload::Named(named.into());
        self
    }

    /// Signs a request. Returns the request and the signature. The target must have an
    /// authority, or the request a `Host`.
    pub fn sign<B>(&self, mut request: Request<B>) -> (Request<B>, String) {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.expires_in = self.expires_in;
        match self.expires_in {
            Some(_) => settings.signature_location = SignatureLocation::QueryParams,
            None if self.declares_body => {
                settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            }
            None => {}
        }
        let identity = Credentials::new(&self.access, &self.secret, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = absolute(&request);
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let body = match &self.payload {
            Payload::Bytes(bytes) => SignableBody::Bytes(bytes),
            Payload::Named(named) => SignableBody::Precomputed(named.clone()),
            Payload::Unsigned => SignableBody::UnsignedPayload,
        };
        let signable = SignableRequest::new(request.method().as_str(), uri, headers, body);
        let (instructions, signature) = sign(signable.unwrap(), &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        (request, signature)
    }
}

fn absolute<B>(request: &Request<B>) -> String {
    if request.uri().authority().is_some() {
        return request.uri().to_string();
    }
    let host = request.headers()["host"].to_str().unwrap();
    format!("http://{host}{}", request.uri())
}
