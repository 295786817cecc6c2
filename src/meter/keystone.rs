//! [`KeystoneUp`]: whether the last call of Keystone succeeded.

#[cfg(feature = "metrics")]
use metrics::{Gauge, gauge};

#[cfg(feature = "metrics")]
use super::names;

/// The handle of a client.
#[derive(Clone, Debug)]
pub(crate) struct KeystoneUp {
    #[cfg(feature = "metrics")]
    up: Gauge,
}

#[cfg(feature = "metrics")]
impl KeystoneUp {
    /// Makes the handle. Before the first call, Keystone counts as up.
    pub(crate) fn new() -> Self {
        let up = Self { up: gauge!(names::KEYSTONE_UP) };
        up.set(true);
        up
    }

    /// Records whether a call succeeded.
    pub(crate) fn set(&self, is_up: bool) {
        self.up.set(f64::from(u8::from(is_up)));
    }
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "as with the feature")]
impl KeystoneUp {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) fn set(&self, _: bool) {}
}
