//! The results of the use cases.

use std::{sync::Arc, time::SystemTime};

use super::checks::Authority;
use crate::{
    domain::{Caller, Credential},
    policy::Action,
};

/// The name of the member and attribute in every dialect.
pub(crate) const LAST_USED: &str = "last_used";

/// The result of a command.
#[derive(Debug)]
pub(crate) enum Outcome {
    Created(View),
    Deleted,
    Listed(Listing),
    Shown(View),
    Updated(View),
}

/// A credential as this caller may see it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) credential: Arc<Credential>,
    pub(crate) secret_visible: bool,
    pub(crate) last_used: LastUsed,
}

/// A page of views.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) views: Vec<View>,
    /// The marker of the next page, if there is one.
    pub(crate) next: Option<String>,
}

/// The last use of a credential in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastUsed {
    /// At this time.
    At(SystemTime),
    /// No use of it is known.
    Never,
    /// The layer has no log. A member of this name is the client's own.
    NoLog,
    /// Unknown: the log was not queried, or failed.
    Unknown,
}

impl Authority {
    /// The credential with its secret, if the caller may see that in IBM's dialect or v2.
    pub(super) fn view(&self, caller: &Caller, credential: Arc<Credential>) -> View {
        let secret_visible = self.allows(caller, Action::ShowSecret, &credential);
        View { credential, secret_visible, last_used: self.unknown() }
    }

    /// The same for v3 and OS-EC2.
    pub(super) fn credential_view(&self, caller: &Caller, credential: Arc<Credential>) -> View {
        let secret_visible = self.allows(caller, Action::ShowCredentialSecret, &credential);
        View { credential, secret_visible, last_used: self.unknown() }
    }

    /// A new credential, with its secret, which the caller has not seen yet.
    pub(super) fn new_view(&self, credential: Arc<Credential>) -> View {
        View { credential, secret_visible: true, last_used: self.unknown() }
    }

    /// The last use before the log is queried.
    fn unknown(&self) -> LastUsed {
        if self.usage.is_some() { LastUsed::Unknown } else { LastUsed::NoLog }
    }
}
