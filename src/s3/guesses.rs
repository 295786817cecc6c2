//! Which refused requests are guesses at a secret, and how late their responses are.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::{
    refusal::{Refusal, RefusalContext},
    sessions::NotGenuine,
};
use crate::{
    domain::Credential,
    guessers::{Guessers, Held},
    origin::ClientAddress,
};

/// Returns whether a request whose signature or token is not genuine guessed at a secret.
///
/// If a record with its access key exists (`is_known`), it must be `usable` and have a secret: a
/// request of another key is refused whatever its signature is.
pub(super) fn is_guess(
    error: Option<NotGenuine>,
    is_known: bool,
    usable: Option<&Credential>,
) -> bool {
    match error {
        Some(NotGenuine::Signature | NotGenuine::Token) => {
            !is_known || usable.is_some_and(|usable| usable.secret_key().is_some())
        }
        Some(NotGenuine::Claims) | None => false,
    }
}

/// The parts of a request that its refusal needs after the request is gone.
#[derive(Debug)]
pub(super) struct Refuser {
    context: RefusalContext,
    source: Option<ClientAddress>,
}

impl Refuser {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let source = request.extensions().get().copied();
        Self { context: RefusalContext::of(request), source }
    }

    /// Renders a refusal. It is late if the client has guessed too often.
    pub(super) fn refuse(
        &self,
        refusal: &Refusal,
        guessers: Option<&Guessers>,
    ) -> Held<Full<Bytes>> {
        let response = refusal.render(&self.context);
        let failure = guessers.zip(refusal.guess.as_ref());
        let pause = failure.and_then(|(guessers, guess)| guessers.failed(self.source, guess));
        Held { response, pause }
    }
}
