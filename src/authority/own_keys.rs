//! The keys of the user whose key signed a request, for IAM.

use super::{
    checks::Authority,
    keys::{CreateKey, KeyCommand, ListKeys, UpdateKey},
    listing::End,
    outcome::{LastUsed, Outcome, View},
    signers::{Signer, SignerError, SignerErrorKind},
    terms::{Given, GivenTerms, TermFilter},
};
use crate::{
    audit::{AuditAction, AuditTarget},
    domain::{AccessKey, Attributes, Status, UserId},
    error::{Error, ErrorKind},
};

/// A request about a user's own keys. `user_name` is the name that the request gives, if any.
#[derive(Debug)]
pub(crate) struct OwnKeyCommand {
    pub(crate) user_name: Option<String>,
    pub(crate) action: OwnKeyAction,
}

#[derive(Debug)]
pub(crate) enum OwnKeyAction {
    Create,
    Delete(AccessKey),
    GetUser,
    LastUsed(AccessKey),
    List { after: Option<String>, limit: Option<usize> },
    Update(AccessKey, Status),
}

impl OwnKeyCommand {
    /// Returns what the command would change. `None` if it changes nothing.
    fn subject(&self) -> Option<(AuditAction, AuditTarget)> {
        let of = |access_key: &AccessKey| AuditTarget {
            access_key: Some(access_key.clone()),
            ..AuditTarget::default()
        };
        match &self.action {
            OwnKeyAction::Create => Some((AuditAction::Create, AuditTarget::default())),
            OwnKeyAction::Delete(key) => Some((AuditAction::Delete, of(key))),
            OwnKeyAction::GetUser | OwnKeyAction::LastUsed(_) | OwnKeyAction::List { .. } => None,
            OwnKeyAction::Update(key, _) => Some((AuditAction::Update, of(key))),
        }
    }
}

/// The result of a command.
#[derive(Debug)]
pub(crate) enum OwnKeyOutcome {
    Created(View),
    /// A change or a deletion.
    Done,
    LastUsed(View),
    /// The next page starts after this access key.
    Listed {
        views: Vec<View>,
        next: Option<String>,
    },
    User(UserId),
}

impl Authority {
    /// Carries out a command on behalf of the key that signed it. It reaches the keys of that
    /// key's user in that key's project.
    pub(crate) async fn run_own_keys(
        &self,
        signer: &Signer,
        command: OwnKeyCommand,
    ) -> Result<OwnKeyOutcome, SignerError> {
        let subject = command.subject();
        let result = self.own_keys(signer, command).await;
        if let (Some(subject), Err(error)) = (subject, &result) {
            self.record_signer_refusal(signer, subject, error);
        }
        result
    }

    async fn own_keys(
        &self,
        signer: &Signer,
        command: OwnKeyCommand,
    ) -> Result<OwnKeyOutcome, SignerError> {
        let OwnKeyCommand { user_name, action } = command;
        let user_id = &signer.credential.user_id;
        if signer.is_limited() && matches!(action, OwnKeyAction::GetUser) && user_name.is_none() {
            let message = "Must specify userName when calling with non-User credentials";
            return Err(SignerError::new(SignerErrorKind::InvalidParameter, message));
        }
        let is_own = user_name.is_none_or(|name| name == user_id.as_str());
        if !is_own || !may_manage(signer) {
            return Err(SignerError::denied("The key may not do this."));
        }
        let user_id = user_id.clone();
        let command = match action {
            OwnKeyAction::Create => KeyCommand::Create(self.new_key(signer)),
            OwnKeyAction::Delete(access_key) => KeyCommand::Delete(access_key),
            OwnKeyAction::GetUser => return Ok(OwnKeyOutcome::User(user_id)),
            OwnKeyAction::LastUsed(access_key) => KeyCommand::Show(access_key),
            OwnKeyAction::List { after, limit } => {
                let project_id = signer.credential.project_id.clone();
                let own = Some(user_id.clone());
                let (before, terms) = (None, TermFilter::default());
                KeyCommand::List(ListKeys {
                    user_id: own,
                    project_id,
                    after,
                    before,
                    limit,
                    terms,
                    end: End::MarkedByKey,
                })
            }
            OwnKeyAction::Update(access_key, status) => KeyCommand::Update(UpdateKey {
                access_key,
                status: Some(status),
                user_id: None,
                project_id: None,
                secret_key: None,
                terms: GivenTerms::default(),
            }),
        };
        let outcome = self.run_key(&signer.caller, command).await?;
        self.record_power(&signer.caller, &outcome);
        Ok(match self.with_last_use(outcome).await {
            Outcome::Created(view) => OwnKeyOutcome::Created(view),
            Outcome::Deleted | Outcome::Updated(_) => OwnKeyOutcome::Done,
            Outcome::Listed(listing) => {
                OwnKeyOutcome::Listed { views: listing.views, next: listing.next }
            }
            Outcome::Shown(view) if view.last_used == LastUsed::Unknown => {
                let message = "The log of uses is unavailable.";
                return Err(Error::new(ErrorKind::Unavailable, message).into());
            }
            Outcome::Shown(view) => OwnKeyOutcome::LastUsed(view),
        })
    }

    /// A new key of the signer's user. It ends no later than the key that makes it.
    fn new_key(&self, signer: &Signer) -> CreateKey {
        let mut terms = GivenTerms::default();
        if let Some(end) = signer.credential.terms.expires_at()
            && self.latest_end(self.clock.now()).is_none_or(|latest| end <= latest)
        {
            terms.expires_at = Given::Value(end);
        }
        CreateKey {
            user_id: None,
            project_id: None,
            access_key: None,
            secret_key: None,
            status: Status::Active,
            attributes: Attributes::new(),
            terms,
        }
    }
}

/// Returns whether a signer may manage keys at all: a user's own key in a project, which no
/// boundary, session or delegation limits.
fn may_manage(signer: &Signer) -> bool {
    let key = &signer.credential;
    !signer.is_limited()
        && key.delegation.is_none()
        && key.project_id.is_some()
        && !key.is_root_key()
}
