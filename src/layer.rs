//! [`CredentialLayer`].

use std::sync::Arc;

use http::Request;
use tower::Layer;

use crate::{service::CredentialService, shared::Shared};

/// Applies [`CredentialService`] to a service.
///
/// Cheap to clone: clones share the validator and the backend.
/// See the [crate docs](crate) for an example.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CredentialLayer {
    pub(crate) shared: Arc<Shared>,
}

impl CredentialLayer {
    /// Returns true if the layer itself responds to a request, so that the inner service
    /// does not see the request.
    ///
    /// For services around this one that treat credential requests differently, such as a
    /// service that admits them from some networks only. Allocates nothing for requests
    /// that pass through.
    #[must_use]
    pub fn answers<B>(&self, request: &Request<B>) -> bool {
        self.shared.is_ours(request)
    }

    /// Waits until no change is running. A change continues if its client disconnects, so that it
    /// has its audit event.
    ///
    /// For the end of a server: call it after the last request, and before the sink and the store
    /// are closed.
    pub async fn settled(&self) {
        self.shared.authority.turns.settled().await;
    }
}

impl<S> Layer<S> for CredentialLayer {
    type Service = CredentialService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CredentialService::new(inner, Arc::clone(&self.shared))
    }
}
