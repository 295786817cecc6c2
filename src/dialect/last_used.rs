//! The member `last_used`, in the dialects that have it.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::{authority::LastUsed, domain::TimeText};

pub(super) const NAME: &str = crate::authority::LAST_USED;

/// The value of the member: a time as `2026-01-02T03:04:05Z`, or null.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastUse(Option<SystemTime>);

impl LastUse {
    /// The value, or `None` if the member is left out.
    pub(super) fn of(last_used: LastUsed) -> Option<Self> {
        match last_used {
            LastUsed::At(time) => Some(Self(Some(time))),
            LastUsed::Never => Some(Self(None)),
            LastUsed::NoLog | LastUsed::Unknown => None,
        }
    }
}

impl Serialize for LastUse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(time) => serializer.serialize_str(TimeText::of(time).as_str()),
            None => serializer.serialize_none(),
        }
    }
}
