//! [`S3sGuardLayer`]: the rules for signatures that `s3s` does not check itself.

mod guard;
mod service;

use std::{sync::Arc, time::Duration};

use tower::Layer;

use self::guard::Guard;
pub use self::service::S3sGuardService;
use super::{
    layer::{Anonymous, S3ConfigError},
    signature_rules::SignatureRules,
};
use crate::clock::{Clock, SystemClock};

/// Refuses what [`S3AuthLayer`](super::S3AuthLayer) would refuse, in front of an `s3s`
/// service that gets its keys from [`S3sAuth`](super::S3sAuth).
///
/// `s3s` verifies signatures itself, and by looser rules: it accepts version 2 of any age
/// and for any time ahead, presigned URLs of any lifetime, every region, any algorithm name
/// in the header, and requests with session tokens. The guard parses each request with the
/// parser of `S3AuthLayer`, applies the same rules and answers in the same XML. It looks up
/// no key and verifies no signature: whatever it lets through, `s3s` still has to verify.
/// The guard alone protects nothing.
///
/// Use both together:
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, StatusCode};
/// use http_body_util::Full;
/// use s3s::{S3, service::S3ServiceBuilder};
/// use tower::{Layer, ServiceExt};
/// use tower_credentials::{
///     backend::{Direct, memory::MemoryBackend},
///     directory::StaticDirectory,
///     s3::{S3sAuth, S3sGuardLayer},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// struct Store;
///
/// impl S3 for Store {
///     // The operations of the store.
/// }
///
/// let keys = Direct(MemoryBackend::default());
/// let mut builder = S3ServiceBuilder::new(Store);
/// builder.set_auth(S3sAuth::new(keys).directory(StaticDirectory::new()));
/// let guard = S3sGuardLayer::builder().region("us-east-1").build()?;
/// let service = guard.layer(builder.build());
///
/// // Version 2 is not admitted, whatever its date.
/// let request = Request::get("/bucket/key")
///     .header("date", "Thu, 25 Feb 2016 20:30:12 GMT")
///     .header("authorization", "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=");
/// let response = service.oneshot(request.body(Full::<Bytes>::default())?).await?;
/// assert_eq!(response.status(), StatusCode::BAD_REQUEST);
/// # Ok(())
/// # }
/// ```
///
/// # What it checks
///
/// - **Version**: 4 only, unless [version 2 is admitted](S3sGuardLayerBuilder::signature_v2).
/// - **Time**: 15 minutes either way, or until a presigned request expires, after seven days
///   at the latest.
/// - **Region**, if [any is set](S3sGuardLayerBuilder::region), and the service `s3`.
/// - **Session tokens**, in headers, queries and forms: refused, as no key here has one.
/// - **Canonical form**: every `x-amz-` header is signed; no parameter and no signed header
///   is repeated; a slash within a name is not escaped; a request has one signature, in the
///   header or in the query.
/// - **Form uploads** (`POST` of `multipart/form-data`): version, region, session token and
///   policy, as [`S3AuthLayer`](super::S3AuthLayer) checks them. `s3s` gets the checked fields
///   in a form that the guard writes, with `${filename}` replaced in the key and the file as it
///   arrives: two parsers cannot find different fields in it. A form anywhere but at a bucket
///   is refused.
///
/// Requests without a signature pass to `s3s`, which decides on them
/// ([`anonymous`](S3sGuardLayerBuilder::anonymous) changes that). The body of every other
/// request passes as it is: `s3s` checks it, and nothing is buffered or copied.
///
/// # What `s3s` checks on its own
///
/// `s3s` reads the system clock, and refuses requests signed in the header, and forms of
/// version 4, that are more than 15 minutes off (`S3Config::presigned_url_max_skew_time_secs`).
/// For a form that limit counts from its `x-amz-date`, while `S3AuthLayer` accepts a form until
/// its policy expires. A larger [`max_skew`](S3sGuardLayerBuilder::max_skew) here has no effect
/// unless that setting grows with it.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct S3sGuardLayer {
    guard: Arc<Guard>,
}

impl S3sGuardLayer {
    /// Creates a guard with the default of every setting.
    pub fn new() -> Self {
        Self { guard: Arc::new(S3sGuardLayerBuilder::new().guard()) }
    }

    /// Starts a guard that differs from the default.
    pub fn builder() -> S3sGuardLayerBuilder {
        S3sGuardLayerBuilder::new()
    }
}

impl Default for S3sGuardLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for S3sGuardLayer {
    type Service = S3sGuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        S3sGuardService::new(inner, Arc::clone(&self.guard))
    }
}

/// Builds an [`S3sGuardLayer`].
///
/// The settings are those of [`S3AuthLayerBuilder`](super::S3AuthLayerBuilder), with the same
/// defaults but for [`anonymous`](Self::anonymous).
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct S3sGuardLayerBuilder {
    signatures: SignatureRules,
    clock: Arc<dyn Clock>,
}

impl S3sGuardLayerBuilder {
    fn new() -> Self {
        Self { signatures: SignatureRules::new(Anonymous::Pass), clock: Arc::new(SystemClock) }
    }

    /// Sets what happens to requests without a signature. Default: [`Anonymous::Pass`], and
    /// `s3s` decides.
    ///
    /// `s3s` reads the whole file of a form into memory before it decides, also of a form
    /// without a signature: set [`Anonymous::Refuse`] where no request is served without one.
    pub fn anonymous(mut self, anonymous: Anonymous) -> Self {
        self.signatures.anonymous = anonymous;
        self
    }

    /// Accepts signatures for this region, and for those that were named before. Default:
    /// every region.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.signatures.regions.push(region.into());
        self
    }

    /// Adds a domain whose subdomains name buckets, as the `S3Host` of the `s3s` service does.
    /// May be called more than once. Default: none.
    ///
    /// The guard needs it for version 2 and for forms, which sign the bucket.
    pub fn base_domain(mut self, domain: impl Into<String>) -> Self {
        self.signatures.base_domains.push(domain.into().to_ascii_lowercase());
        self
    }

    /// Sets whether AWS Signature Version 2 is admitted. Default: it is not.
    pub fn signature_v2(mut self, admit: bool) -> Self {
        self.signatures.signature_v2 = admit;
        self
    }

    /// Sets how far the time of a request may be from the server's, in either direction.
    /// Default: 15 minutes.
    pub fn max_skew(mut self, skew: Duration) -> Self {
        self.signatures.max_skew = skew;
        self
    }

    /// Sets how long the fields of a form upload may take to arrive. Default: 30 seconds.
    ///
    /// Measured with tokio's timer: forms need a tokio runtime with time enabled.
    pub fn form_timeout(mut self, timeout: Duration) -> Self {
        self.signatures.form_timeout = timeout;
        self
    }

    /// Sets the guard's clock. Default: [`SystemClock`]. `s3s` reads its own.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Finishes the guard.
    ///
    /// # Errors
    ///
    /// [`S3ConfigError`] if no request could ever pass as configured.
    pub fn build(self) -> Result<S3sGuardLayer, S3ConfigError> {
        self.signatures.validate()?;
        Ok(S3sGuardLayer { guard: Arc::new(self.guard()) })
    }

    fn guard(self) -> Guard {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { signatures, clock } = self;
        Guard { signatures, clock }
    }
}
