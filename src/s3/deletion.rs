//! Admits requests whose body must be read before the app sees them.

use std::{error::Error as StdError, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::Body;
use http_body_util::Full;

use super::{
    admission,
    body::VerifiedBody,
    enforcement::{Boundaries, Reading},
    key::VerifiedKey,
    refusal::{Refusal, RefusalContext},
    verifier::{Verified, Verifier},
};
use crate::{guessers::Held, operation::S3Operation, signature::request::RequestHead};

impl Verifier {
    /// Checks the head of a request against the boundary of its key. `None` for a key without
    /// one.
    pub(super) fn read<B>(
        &self,
        request: &Request<B>,
        valid: &Verified,
        now: SystemTime,
    ) -> Result<Option<Reading>, Refusal> {
        let Some(boundaries) = valid.limit.boundaries()? else { return Ok(None) };
        let key = (&valid.key, boundaries);
        let head = RequestHead::from(request);
        self.enforcement.check(head, request.extensions(), key, now).map(Some)
    }

    /// Passes a request whose signature is valid, if it is within the boundary of its key. Reads
    /// the body first if necessary.
    pub(super) async fn admit<B>(
        &self,
        request: Request<B>,
        valid: Verified,
        now: SystemTime,
    ) -> Result<Request<VerifiedBody<B>>, Held<Full<Bytes>>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        match self.read(&request, &valid, now) {
            Ok(Some(Reading::Body(boundaries, operation))) => {
                self.admit_deletion(request, valid, &boundaries, operation).await
            }
            Ok(reading) => admission::admit(request, valid, reading),
            Err(refusal) => Err(refusal.render(&RefusalContext::of(&request)).into()),
        }
    }

    /// Passes a `DeleteObjects` whose signature is valid, if its keys are within the boundary.
    pub(super) async fn admit_deletion<B>(
        &self,
        request: Request<B>,
        valid: Verified,
        boundaries: &Boundaries,
        operation: Box<S3Operation<'static>>,
    ) -> Result<Request<VerifiedBody<B>>, Held<Full<Bytes>>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let context = RefusalContext::of(&request);
        let request = admission::admit(request, valid, None)?;
        let checked = self.read_deletion(request, boundaries, operation).await;
        checked.map_err(|refusal| refusal.render(&context).into())
    }

    /// Reads the body of `DeleteObjects` to its verified end, checks its keys, and passes the very
    /// bytes on.
    async fn read_deletion<B>(
        &self,
        request: Request<VerifiedBody<B>>,
        boundaries: &Boundaries,
        operation: Box<S3Operation<'static>>,
    ) -> Result<Request<VerifiedBody<B>>, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        let key: &VerifiedKey = head.extensions.get().expect("inserted on admission");
        let limit = self.signatures.form_timeout;
        let buffers = &self.enforcement.buffers;
        let (bytes, reservation) = buffers.read(key.user_id(), body, limit).await?;
        // Read the clock only now: the body may have taken a while to arrive.
        let now = self.clock.now();
        self.check_end(key, now)?;
        let key = (key, boundaries);
        self.enforcement.check_deletion(&operation, &head, key, &bytes, now).await?;
        head.extensions.insert(*operation);
        head.headers.remove(header::TRANSFER_ENCODING);
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        Ok(Request::from_parts(head, VerifiedBody::buffered(bytes, reservation)))
    }
}
