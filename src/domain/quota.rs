//! [`Quota`]: the limit of credentials per user.

/// How many credentials one user may have.
///
/// All of the user's records count, whatever their type, status or project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quota {
    /// At most this many.
    AtMost(u32),
    /// As many as the store can hold.
    #[default]
    Unlimited,
}

impl Quota {
    /// Returns true if a user with `held` credentials may get another one.
    #[must_use]
    pub fn admits(self, held: u64) -> bool {
        match self {
            Self::AtMost(limit) => held < u64::from(limit),
            Self::Unlimited => true,
        }
    }
}
