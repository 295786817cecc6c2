//! What a command would change, for the audit event of its refusal.

use super::{
    Command, credentials::CredentialCommand, ec2::Ec2Command, grants::GrantCommand,
    keys::KeyCommand,
};
use crate::{
    audit::{AuditAction, AuditTarget},
    domain::{AccessKey, CredentialId, UserId},
};

impl Command {
    /// Returns what the command would change. `None` if it changes nothing.
    pub(crate) fn subject(&self) -> Option<(AuditAction, AuditTarget)> {
        match self {
            Self::Credential(command) => of_credential(command),
            Self::Ec2(command) => of_ec2(command),
            Self::Grant(command) => of_grant(command),
            Self::Key(command) => of_key(command),
        }
    }
}

fn of_credential(command: &CredentialCommand) -> Option<(AuditAction, AuditTarget)> {
    let (action, target) = match command {
        CredentialCommand::Create(new) => {
            let mut target = owned_by(&new.user_id);
            target.project_id.clone_from(&new.project_id);
            target.kind = Some(new.kind.clone());
            target.access_key = new.blob.access_key().ok().filter(|_| new.kind.is_ec2());
            (AuditAction::Create, target)
        }
        CredentialCommand::Delete(id) => (AuditAction::Delete, with_id(id)),
        CredentialCommand::List(_) | CredentialCommand::Show(_) => return None,
        CredentialCommand::Rotate { id, .. } => (AuditAction::Rotate, with_id(id)),
        CredentialCommand::Update(change) => (AuditAction::Update, with_id(&change.id)),
    };
    Some((action, target))
}

fn of_ec2(command: &Ec2Command) -> Option<(AuditAction, AuditTarget)> {
    let of = |user_id, access_key| AuditTarget {
        user_id: owned_by(user_id).user_id,
        ..with_access_key(access_key)
    };
    let (action, target) = match command {
        Ec2Command::Create(new) => {
            let project_id = new.project_id.clone();
            (AuditAction::Create, AuditTarget { project_id, ..owned_by(&new.user_id) })
        }
        Ec2Command::Delete { user_id, access_key } => {
            (AuditAction::Delete, of(user_id, access_key))
        }
        Ec2Command::List(_) | Ec2Command::Show { .. } => return None,
        Ec2Command::Rotate { user_id, access_key, .. } => {
            (AuditAction::Rotate, of(user_id, access_key))
        }
    };
    Some((action, target))
}

fn of_grant(command: &GrantCommand) -> Option<(AuditAction, AuditTarget)> {
    let (action, user_id) = match command {
        GrantCommand::Create { user_id, .. } => (AuditAction::Create, user_id),
        GrantCommand::Delete { user_id, .. } => (AuditAction::Delete, user_id),
        GrantCommand::List(_) | GrantCommand::Show { .. } => return None,
        GrantCommand::Update { user_id, .. } => (AuditAction::Update, user_id),
    };
    Some((action, owned_by(user_id)))
}

fn of_key(command: &KeyCommand) -> Option<(AuditAction, AuditTarget)> {
    let (action, target) = match command {
        KeyCommand::Create(new) => {
            let target = AuditTarget {
                access_key: new.access_key.clone(),
                user_id: new.user_id.clone(),
                project_id: new.project_id.clone(),
                ..AuditTarget::default()
            };
            (AuditAction::Create, target)
        }
        KeyCommand::Delete(access_key) => (AuditAction::Delete, with_access_key(access_key)),
        KeyCommand::List(_) | KeyCommand::Show(_) => return None,
        KeyCommand::Rotate { access_key, .. } => (AuditAction::Rotate, with_access_key(access_key)),
        KeyCommand::Update(change) => (AuditAction::Update, with_access_key(&change.access_key)),
    };
    Some((action, target))
}

fn with_id(id: &CredentialId) -> AuditTarget {
    AuditTarget { id: Some(id.clone()), ..AuditTarget::default() }
}

fn with_access_key(access_key: &AccessKey) -> AuditTarget {
    AuditTarget { access_key: Some(access_key.clone()), ..AuditTarget::default() }
}

fn owned_by(user_id: &UserId) -> AuditTarget {
    AuditTarget { user_id: Some(user_id.clone()), ..AuditTarget::default() }
}
