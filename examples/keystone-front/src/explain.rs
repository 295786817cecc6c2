//! The reason why the mirror refuses a record, for the client.
//!
//! `CredentialLayer` has one message for all records that a backend cannot hold.

use std::{error::Error, iter::successors, sync::Arc};

use http::{Response, header};
use http_body_util::Either;

use crate::{answers, limits::Unlimited};

const UNLIMITED: &str = "The key pair cannot be mirrored to Keystone, which could not enforce the \
                         limits of the login that the key pair was made with.";

/// Puts the reason into an answer, if it is a refusal of the mirror.
///
/// v2.0 has another shape for errors, but its grants have no delegation, so that none is refused.
pub fn explained<B>(answer: Response<B>) -> Response<Either<B, answers::Body>> {
    let error = answer.extensions().get::<Arc<tower_credentials::Error>>();
    if !error.is_some_and(|error| is_unlimited(&**error)) {
        return answer.map(Either::Left);
    }
    let (mut head, _) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    let body = answers::refusal(head.status, UNLIMITED).into_body();
    Response::from_parts(head, Either::Right(body))
}

fn is_unlimited(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |&error| error.source()).any(<dyn Error>::is::<Unlimited>)
}
