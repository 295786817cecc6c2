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
    pub(crate) secret: SecretView,
    pub(crate) last_used: LastUsed,
}

/// Whether a view shows the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretView {
    /// The caller may not see it.
    Hidden,
    /// The caller may see everything but the secret of a key pair, which was shown once.
    Once,
    /// The caller may see it.
    Shown,
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

impl View {
    /// Returns whether the secret of a key pair is shown.
    pub(crate) fn shows_secret(&self) -> bool {
        self.secret == SecretView::Shown
    }
}

impl Authority {
    /// The credential with its secret, if the caller may see that in IBM's dialect or v2.
    pub(super) fn view(&self, caller: &Caller, credential: Arc<Credential>) -> View {
        self.view_of(caller, Action::ShowSecret, credential)
    }

    /// The same for v3 and OS-EC2.
    pub(super) fn credential_view(&self, caller: &Caller, credential: Arc<Credential>) -> View {
        self.view_of(caller, Action::ShowCredentialSecret, credential)
    }

    fn view_of(&self, caller: &Caller, action: Action, credential: Arc<Credential>) -> View {
        let secret = if !self.allows(caller, action, &credential) {
            SecretView::Hidden
        } else if self.show_secrets_once
            && !self.allows(caller, Action::ShowSecretAgain, &credential)
        {
            SecretView::Once
        } else {
            SecretView::Shown
        };
        View { credential, secret, last_used: self.unknown() }
    }

    /// A new credential, with its secret, which the caller has not seen yet.
    pub(super) fn new_view(&self, credential: Arc<Credential>) -> View {
        View { credential, secret: SecretView::Shown, last_used: self.unknown() }
    }

    /// The last use before the log is queried.
    fn unknown(&self) -> LastUsed {
        if self.usage.is_some() { LastUsed::Unknown } else { LastUsed::NoLog }
    }
}
