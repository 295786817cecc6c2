//! A body that was read before the app sees the request.

use bytes::Bytes;
use http_body::SizeHint;

use crate::s3::buffers::Reservation;

/// The bytes of a body, with the memory that they take.
#[derive(Debug)]
pub(super) struct Buffered {
    bytes: Option<Bytes>,
    reservation: Option<Reservation>,
}

impl Buffered {
    pub(super) fn new(bytes: Bytes, reservation: Reservation) -> Self {
        Self {
            bytes: Some(bytes).filter(|bytes| !bytes.is_empty()),
            reservation: Some(reservation),
        }
    }

    /// Returns the bytes, once.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.reservation = None;
        self.bytes.take()
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}
