//! Bodies that end early, or are not what their headers announce. `s3s-fs` takes that for
//! a failure of its own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http_body_util::BodyExt;
use s3s::{Body, S3ErrorCode, S3Result, dto::StreamingBlob, s3_error};

/// Whether a body has failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arriving(Arc<AtomicBool>);

impl Arriving {
    /// Notes it if this body fails.
    pub(crate) fn watch(&self, body: Option<StreamingBlob>) -> Option<StreamingBlob> {
        let failed = Arc::clone(&self.0);
        let noted = Body::from(body?).map_err(move |error| {
            failed.store(true, Ordering::Relaxed);
            error
        });
        Some(StreamingBlob::from(Body::http_body_unsync(noted)))
    }

    /// The store's answer; if the body failed, the client is at fault.
    pub(crate) fn explain<T>(&self, answer: S3Result<T>) -> S3Result<T> {
        answer.map_err(|error| {
            let is_clients = self.0.load(Ordering::Relaxed);
            if is_clients && *error.code() == S3ErrorCode::InternalError {
                return s3_error!(
                    IncompleteBody,
                    "The body ended early or is not the one that was signed."
                );
            }
            error
        })
    }
}
