//! [`S3sGuardLayer`]: checks the rules for signatures that `s3s` does not check.

mod guard;

use std::{
    error::Error as StdError,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use self::guard::{Decision, Guard};
use super::{
    body::VerifiedBody,
    counting::Verifications,
    future::{ResponseFuture, take_ready},
    refusal::RefusalContext,
    rules::{Anonymous, S3ConfigError, SignatureRules, signature_settings},
    s3s_session::WithSession,
};
use crate::{
    body::ResponseBody,
    clock::{Clock, SystemClock},
    guessers::Guessers,
    signature::request::RequestHead,
};

/// Refuses the requests that [`S3AuthLayer`](super::S3AuthLayer) would refuse, in front of an
/// `s3s` service that gets its keys from [`S3sAuth`](super::S3sAuth).
///
/// `s3s` verifies signatures itself, and by looser rules: it accepts version 2 of any age
/// and for any time ahead, presigned URLs of any lifetime, every region, any algorithm name
/// in the header, and requests with session tokens. The guard parses each request with the
/// parser of `S3AuthLayer`, applies the same rules and responds in the same XML. It looks up
/// no key and verifies no signature: `s3s` verifies every request that passes. The guard alone
/// protects nothing.
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
///     backend::{Uncached, memory::MemoryBackend},
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
/// let keys = Uncached(MemoryBackend::default());
/// let mut builder = S3ServiceBuilder::new(Store);
/// builder.set_auth(S3sAuth::new(keys).directory(StaticDirectory::new()));
/// let guard = S3sGuardLayer::builder().regions(["us-east-1"]).build()?;
/// let service = guard.layer(builder.build());
///
/// // Version 2 is not accepted, whatever its date.
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
/// - **Version**: 4 only, unless [version 2 is accepted](S3sGuardLayerBuilder::signature_v2).
/// - **Time**: the signing time is within [15 minutes](S3sGuardLayerBuilder::max_skew). A
///   presigned request is valid until it expires, at most for seven days.
/// - **Region**, if [any is set](S3sGuardLayerBuilder::regions), and the service `s3`.
/// - **Session tokens**, in headers, queries and forms: with version 4 only, and that of the access
///   key that signs. `S3sAuth` gets the token from the guard and verifies it; without the guard, no
///   session is accepted.
/// - **Canonical form**: every `x-amz-` header is signed; no parameter and no signed header
///   is repeated; a slash in the path is not escaped; a request has one signature, in the
///   header or in the query.
/// - **Form uploads** (`POST` of `multipart/form-data`): version, region, session token and
///   policy, as [`S3AuthLayer`](super::S3AuthLayer) checks them. `s3s` gets the checked fields
///   in a form that the guard writes, with `${filename}` replaced in the key and the file as it
///   arrives. So two parsers cannot find different fields. A form posted to anything but a
///   bucket is refused.
///
/// Requests without a signature pass to `s3s`, which decides on them
/// ([`anonymous`](S3sGuardLayerBuilder::anonymous) changes that). All other bodies pass as they
/// are: `s3s` checks them, and nothing is buffered or copied.
///
/// # What `s3s` checks on its own
///
/// `s3s` reads the system clock, and refuses requests signed in the header, and forms of
/// version 4, that are more than 15 minutes off (`S3Config::presigned_url_max_skew_time_secs`).
/// For a form that limit counts from its `x-amz-date`, while `S3AuthLayer` accepts a form until
/// its policy expires. A larger [`max_skew`](S3sGuardLayerBuilder::max_skew) here has
/// no effect unless you raise that setting too.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct S3sGuardLayer {
    guard: Arc<Guard>,
    guessers: Option<Guessers>,
}

impl S3sGuardLayer {
    /// Creates a guard with the default of every setting.
    pub fn new() -> Self {
        S3sGuardLayerBuilder::new().layer()
    }

    /// Returns a builder for a guard with other settings.
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
        let inner =
            WithSession::new(inner, self.guessers.clone(), Arc::clone(&self.guard.verifications));
        S3sGuardService { inner, guard: Arc::clone(&self.guard) }
    }
}

/// Builds an [`S3sGuardLayer`].
///
/// The settings are those of [`S3AuthLayerBuilder`](super::S3AuthLayerBuilder), with the same
/// defaults except for [`anonymous`](Self::anonymous). Each setter replaces the value that an
/// earlier call of it set. `s3s` compares the base domains with its own `S3Host` and reads its
/// own clock.
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct S3sGuardLayerBuilder {
    signatures: SignatureRules,
    clock: Arc<dyn Clock>,
    guessers: Option<Guessers>,
}

signature_settings!(S3sGuardLayerBuilder);

impl S3sGuardLayerBuilder {
    fn new() -> Self {
        Self {
            signatures: SignatureRules::new(Anonymous::Pass),
            clock: Arc::new(SystemClock),
            guessers: None,
        }
    }

    /// Sets what happens to requests without a signature. Default: [`Anonymous::Pass`]: `s3s`
    /// decides.
    ///
    /// `s3s` reads the whole file of a form into memory before it decides, even if the form is
    /// not signed. Set [`Anonymous::Refuse`] if you serve no unsigned requests.
    pub fn anonymous(mut self, anonymous: Anonymous) -> Self {
        self.signatures.anonymous = anonymous;
        self
    }

    /// Answers clients late that guess at secrets. Default: no.
    ///
    /// `s3s` does not report which signatures are invalid. So a request counts as a failure if `s3s`
    /// asked [`S3sAuth`](super::S3sAuth) for its secret, the request did not reach
    /// [`S3sAccess`](super::S3sAccess), and the status is 403. An access check of your own must call
    /// `check` or `signer` of `S3sAccess` before it refuses a request. Without `S3sAccess`, only
    /// unknown access keys and forged session tokens are counted.
    ///
    /// See the module [`guessers`](crate::guessers).
    pub fn guessers(mut self, guessers: Guessers) -> Self {
        self.guessers = Some(guessers);
        self
    }

    /// Builds the guard.
    ///
    /// # Errors
    ///
    /// [`S3ConfigError`] if a region or a base domain is malformed, or the form timeout is zero.
    pub fn build(self) -> Result<S3sGuardLayer, S3ConfigError> {
        self.signatures.validate()?;
        Ok(self.layer())
    }

    fn layer(self) -> S3sGuardLayer {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { signatures, clock, guessers } = self;
        S3sGuardLayer {
            guard: Arc::new(Guard {
                signatures,
                clock,
                verifications: Arc::new(Verifications::new()),
            }),
            guessers,
        }
    }
}

/// Checks requests before an `s3s` service sees them.
///
/// Created by [`S3sGuardLayer`]. The service is ready when the inner service is.
#[derive(Clone, Debug)]
pub struct S3sGuardService<S> {
    inner: WithSession<S>,
    guard: Arc<Guard>,
}

impl<S> S3sGuardService<S> {
    /// Returns a reference to the inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner.inner
    }

    /// Returns a mutable reference to the inner service.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner.inner
    }

    /// Returns the inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for S3sGuardService<S>
where
    S: Service<Request<VerifiedBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    ReqBody: Body<Data = Bytes> + Send + 'static,
    ReqBody::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<WithSession<S>, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.guard.decide(RequestHead::from(&request)) {
            Ok(Decision::Pass(token)) => {
                if let Some(token) = token {
                    request.extensions_mut().insert(token);
                }
                ResponseFuture::decided(&mut self.inner, Ok(request.map(VerifiedBody::plain)))
            }
            Ok(Decision::Form) => {
                let guard = Arc::clone(&self.guard);
                let rewritten = Box::pin(async move {
                    let context = RefusalContext::of(&request);
                    let rewritten = guard.rewrite(request).await;
                    rewritten.map_err(|refusal| {
                        let counts = &guard.verifications;
                        counts.count_as(counts.form(), Err(refusal.code));
                        refusal.render(&context).into()
                    })
                });
                ResponseFuture::deciding(rewritten, take_ready(&mut self.inner))
            }
            Err(refusal) => {
                self.guard.verifications.refused(RequestHead::from(&request), refusal.code);
                let response = refusal.render(&RefusalContext::of(&request));
                ResponseFuture::refused(response.into())
            }
        }
    }
}
