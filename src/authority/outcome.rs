//! What the use cases return.

use std::{sync::Arc, time::SystemTime};

use super::checks::Authority;
use crate::{
    domain::{Caller, Credential},
    policy::Action,
};

/// The name of the member and attribute on every wire.
pub(crate) const LAST_USED: &str = "last_used";

/// What came of a command.
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

/// What a view tells of a credential's last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastUsed {
    /// It was at this time.
    At(SystemTime),
    /// No use of it is known.
    Never,
    /// There is no log: a member of this name is the client's own.
    NoLog,
    /// Nothing, though there is a log: it was not asked, or could not tell.
    Untold,
}

impl Authority {
    /// The credential with its secret, if the caller may see that in IBM's dialect or v2.
    pub(super) fn view(&self, caller: &Caller, credential: Arc<Credential>) -> View {
        let secret_visible = self.allows(caller, Action::ShowSecret, &credential);
        View { credential, secret_visible, last_used: self.untold() }
    }

    /// The same for v3 and OS-EC2.
    pub(super) fn credential_view(&self, caller: &Caller, credential: Arc<Credential>) -> View {
        let secret_visible = self.allows(caller, Action::ShowCredentialSecret, &credential);
        View { credential, secret_visible, last_used: self.untold() }
    }

    /// A new credential, with its secret: nobody else has it yet.
    pub(super) fn new_view(&self, credential: Arc<Credential>) -> View {
        View { credential, secret_visible: true, last_used: self.untold() }
    }

    /// What a view reports before the log is asked.
    fn untold(&self) -> LastUsed {
        if self.usage.is_some() { LastUsed::Untold } else { LastUsed::NoLog }
    }
}
