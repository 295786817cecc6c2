//! The memory for bodies that must be read before the app sees a request.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{payload_error::PayloadError, refusal::Refusal};
use crate::{domain::UserId, signature::request::S3ErrorCode};

/// The longest body that is read, in bytes: a thousand keys with their markup.
const MAX_BODY: usize = 2 << 20;

/// The memory for all bodies, unless the builder sets it.
pub(super) const TOTAL: usize = 64 << 20;

/// One owner gets at most this part of the memory, but enough for one body.
const SHARE: usize = 8;

/// Bounds the memory for bodies, in total and by the owner of the key.
#[derive(Clone, Debug)]
pub(super) struct Buffers {
    total: usize,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    by_owner: HashMap<UserId, usize>,
}

/// A part of the memory, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    buffers: Buffers,
    owner: UserId,
    bytes: usize,
}

impl Buffers {
    pub(super) fn new(total: usize) -> Self {
        Self { total, used: Arc::default() }
    }

    /// Returns the part of one owner: at least one body, if the memory has room for it.
    fn share(&self) -> usize {
        (self.total / SHARE).max(self.total.min(MAX_BODY))
    }

    /// Reads a body to its verified end.
    pub(super) async fn read(
        &self,
        owner: &UserId,
        body: impl Body<Data = Bytes, Error = PayloadError>,
        limit: Duration,
    ) -> Result<(Bytes, Reservation), Refusal> {
        timeout(limit, self.read_all(owner, body)).await.map_err(|_| {
            let message = "The body of the request did not arrive in time.";
            Refusal::new(S3ErrorCode::RequestTimeout, message)
        })?
    }

    async fn read_all(
        &self,
        owner: &UserId,
        body: impl Body<Data = Bytes, Error = PayloadError>,
    ) -> Result<(Bytes, Reservation), Refusal> {
        let too_long = || {
            let message = "Your request was too big.";
            Refusal::new(S3ErrorCode::MaxMessageLengthExceeded, message)
        };
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(too_long());
        }
        let mut reservation = Reservation { buffers: self.clone(), owner: owner.clone(), bytes: 0 };
        let (mut body, mut read) = (pin!(body), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refusal::from(error.kind()))?;
            let Ok(data) = frame.into_data() else { continue };
            if read.len() + data.len() > MAX_BODY {
                return Err(too_long());
            }
            reservation.extend(data.len())?;
            read.extend_from_slice(&data);
        }
        Ok((read.freeze(), reservation))
    }
}

impl Reservation {
    /// Reserves more memory as bytes arrive: a declared length reserves nothing.
    fn extend(&mut self, bytes: usize) -> Result<(), Refusal> {
        let mut used = self.buffers.used.lock().unwrap_or_else(PoisonError::into_inner);
        let of_owner = used.by_owner.get(&self.owner).copied().unwrap_or_default();
        let share = self.buffers.share();
        if used.bytes + bytes > self.buffers.total || of_owner + bytes > share {
            return Err(Refusal::new(S3ErrorCode::SlowDown, "Please reduce your request rate."));
        }
        used.bytes += bytes;
        used.by_owner.insert(self.owner.clone(), of_owner + bytes);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut used = self.buffers.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.bytes -= self.bytes;
        let left = used.by_owner.get(&self.owner).map_or(0, |bytes| bytes - self.bytes);
        if left == 0 {
            used.by_owner.remove(&self.owner);
        } else {
            used.by_owner.insert(self.owner.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn reserve(buffers: &Buffers, owner: &str, bytes: usize) -> Result<Reservation, S3ErrorCode> {
        let (buffers, owner) = (buffers.clone(), UserId::from_stored(owner));
        let mut reservation = Reservation { buffers, owner, bytes: 0 };
        match reservation.extend(bytes) {
            Ok(()) => Ok(reservation),
            Err(refusal) => Err(refusal.code),
        }
    }

    #[test]
    fn one_owner_gets_an_eighth_and_all_owners_the_whole() {
        let unit = MAX_BODY;
        let buffers = Buffers::new(8 * unit);
        let first = reserve(&buffers, "amy", unit).unwrap();
        assert_eq!(reserve(&buffers, "amy", 1).unwrap_err(), S3ErrorCode::SlowDown);
        let others: Vec<_> =
            (0..7).map(|n| reserve(&buffers, &format!("u{n}"), unit).unwrap()).collect();
        assert_eq!(reserve(&buffers, "eve", 1).unwrap_err(), S3ErrorCode::SlowDown);
        drop(first);
        reserve(&buffers, "eve", unit).unwrap();
        drop(others);
        let used = buffers.used.lock().unwrap();
        assert!(used.bytes == 0 && used.by_owner.is_empty());
    }

    #[tokio::test]
    async fn longer_body_is_refused_and_releases_its_memory() {
        let (buffers, owner) = (Buffers::new(TOTAL), UserId::from_stored("amy"));
        let body = |length| {
            let body = Full::new(Bytes::from(vec![b'x'; length]));
            body.map_err(|never| match never {})
        };
        let limit = Duration::from_secs(5);
        let (read, reservation) = buffers.read(&owner, body(MAX_BODY), limit).await.unwrap();
        assert_eq!((read.len(), reservation.bytes), (MAX_BODY, MAX_BODY));
        let refusal = buffers.read(&owner, body(MAX_BODY + 1), limit).await.unwrap_err();
        assert_eq!(refusal.code, S3ErrorCode::MaxMessageLengthExceeded);
        drop(reservation);
        assert_eq!(buffers.used.lock().unwrap().bytes, 0);
    }
}
