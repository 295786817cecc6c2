//! [`Route`]: the operation that responded to a request.

use std::fmt;

use crate::meter::Endpoint;

/// The dialect and the operation that responded to a request.
///
/// [`CredentialService`](crate::CredentialService) inserts it into the extensions of each response
/// of its own. Its texts are fixed, so that clients cannot choose the lines of a log or the labels
/// of metrics.
///
/// ```
/// # use std::convert::Infallible;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// # use bytes::Bytes;
/// # use tower::{Layer, ServiceExt, service_fn};
/// # use tower_credentials::{CredentialLayer, Route, auth::StaticTokens, backend::memory::MemoryBackend};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let app = service_fn(|_: Request<Full<Bytes>>| async {
/// #     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
/// # });
/// # let service = CredentialLayer::new(StaticTokens::new(), MemoryBackend::default()).layer(app);
/// let request = Request::post("/credentials").body(Full::default())?;
/// let response = service.oneshot(request).await?;
/// let route = response.extensions().get::<Route>().unwrap();
/// assert_eq!((route.dialect(), route.operation()), ("ibm_cos", "create"));
/// assert_eq!(route.to_string(), "ibm_cos create");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    dialect: &'static str,
    operation: &'static str,
}

impl Route {
    /// The route of `OPTIONS`, which any caller may send.
    pub(crate) const OPTIONS: Self = Self { dialect: "keystone", operation: "options" };

    pub(crate) fn of(endpoint: Endpoint) -> Self {
        let (dialect, operation) = endpoint.labels();
        Self { dialect, operation }
    }

    /// Returns the dialect: `ibm_cos`, `keystone_v2`, `keystone_v3`, `os_ec2`, `aws_iam` or
    /// `aws_sts`; `keystone` for `OPTIONS`.
    #[must_use]
    pub fn dialect(&self) -> &'static str {
        self.dialect
    }

    /// Returns the operation, such as `create` or `create_access_key`. `other` for a request that
    /// has no operation: its method or its path is not valid, or its action is not served.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dialect, self.operation)
    }
}
