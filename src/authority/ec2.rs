//! A user's key pairs through OS-EC2, addressed by their access key: create, list,
//! show, rotate, delete.

use std::{sync::Arc, time::Duration};

use super::{
    checks::{Authority, Reading},
    listing::End,
    outcome::Outcome,
    requester::Requester,
    terms::{GivenTerms, TermFilter},
    write::Address,
};
use crate::{
    backend::{ACCESS_KEYS_END, ListQuery, Order},
    domain::{
        AccessKey, Caller, Credential, CredentialId, Kind, Material, ProjectId, Status, UserId,
        Version, generate_pair,
    },
    error::{Error, ErrorKind},
    policy::{Action, Target},
};

#[derive(Debug)]
pub(crate) enum Ec2Command {
    Create(CreateEc2),
    Delete { user_id: UserId, access_key: AccessKey },
    List(ListEc2),
    Rotate { user_id: UserId, access_key: AccessKey, overlap: Duration },
    Show { user_id: UserId, access_key: AccessKey },
}

/// A new key pair; both keys are generated.
#[derive(Debug)]
pub(crate) struct CreateEc2 {
    pub(crate) user_id: UserId,
    /// `None` if the client named no valid project.
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) status: Status,
    pub(crate) terms: GivenTerms,
}

#[derive(Debug)]
pub(crate) struct ListEc2 {
    pub(crate) user_id: UserId,
    /// The id of the last record of the previous page.
    pub(crate) marker: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) terms: TermFilter,
}

impl Authority {
    pub(super) async fn run_ec2(
        &self,
        caller: &Requester,
        command: Ec2Command,
    ) -> Result<Outcome, Error> {
        match command {
            Ec2Command::Create(command) => self.create_ec2(caller, command).await,
            Ec2Command::Delete { user_id, access_key } => {
                let address = Address::Ec2(&user_id, &access_key);
                self.delete(caller, Action::DeleteEc2, address).await
            }
            Ec2Command::List(command) => self.list_ec2(caller, command).await,
            Ec2Command::Rotate { user_id, access_key, overlap } => {
                if caller.delegation.is_some() {
                    // A caller whom the dialect refuses does not learn which keys exist.
                    self.permit(caller, Action::CreateEc2, Target::default())?;
                }
                let address = Address::Ec2(&user_id, &access_key);
                let actions = (Action::UpdateCredential, Action::CreateEc2);
                self.rotate(caller, actions, address, overlap).await
            }
            Ec2Command::Show { user_id, access_key } => {
                let (action, reading) = (Action::ShowEc2, Reading::Cached);
                let credential =
                    self.find_ec2(caller, action, &user_id, &access_key, reading).await?;
                Ok(Outcome::Shown(self.credential_view(caller, credential)))
            }
        }
    }

    async fn create_ec2(&self, caller: &Requester, command: CreateEc2) -> Result<Outcome, Error> {
        let CreateEc2 { user_id, project_id, status, terms } = command;
        let kind = Kind::ec2();
        let action = Action::CreateEc2;
        self.permit(caller, action, self.target(&user_id, project_id.as_ref(), Some(&kind)))?;
        let project_id =
            project_id.ok_or_else(|| Error::new(ErrorKind::NotFound, "No such project."))?;
        self.require_enabled_user(&user_id).await?;
        self.require_enabled_project(&project_id).await?;
        self.require_place(action, &user_id, &project_id).await?;

        let terms = self.new_terms(&terms, &kind, &user_id)?;
        self.count_mint(&caller.user_id)?;
        let (access_key, secret) = generate_pair()?;
        let material = Material::KeyPair { secret: Some(secret) };
        let (id, now) = (CredentialId::of(&access_key), self.clock.now());
        let mut credential = Credential::new(id, kind, user_id, material, now, Version::fresh());
        credential.project_id = Some(project_id);
        credential.access_key = Some(access_key);
        credential.status = status;
        credential.terms = terms;
        credential.delegation.clone_from(&caller.delegation);
        self.insert(caller, credential).await
    }

    async fn list_ec2(&self, caller: &Caller, command: ListEc2) -> Result<Outcome, Error> {
        let ListEc2 { user_id, marker, limit, terms } = command;
        let action = Action::ListEc2;
        // Another user's keys are those in the caller's own project, as in IBM's dialect.
        let project_id = caller.project_id().filter(|_| user_id != caller.user_id);
        self.permit(caller, action, self.target(&user_id, project_id, None))?;
        self.require_user(&user_id).await?;

        let mut query = ListQuery::new(Order::Key);
        query.before = Some(ACCESS_KEYS_END.into());
        (query.user_id, query.kind) = (Some(user_id), Some(Kind::ec2()));
        self.start_after(&mut query, marker).await?;
        let view = |record: Arc<Credential>| {
            let is_listed = terms.admits(&record) && self.allows(caller, action, &record);
            is_listed.then(|| self.credential_view(caller, record))
        };
        Ok(Outcome::Listed(self.page(query, limit, End::Marked, view, Credential::size).await?))
    }

    /// Finds the key pair, on which the caller may perform this action. As in Keystone, a
    /// missing key pair is not found for every caller, and the user in the path must exist,
    /// but need not be the owner.
    pub(super) async fn find_ec2(
        &self,
        caller: &Caller,
        action: Action,
        user_id: &UserId,
        access_key: &AccessKey,
        reading: Reading,
    ) -> Result<Arc<Credential>, Error> {
        if caller.delegation.is_some() {
            self.permit(caller, action, Target::default())?;
        }
        let found = self.read_by_access_key(access_key, reading).await?;
        let found = found.filter(|found| found.kind.is_ec2());
        let credential = found.ok_or_else(Error::no_such_credential)?;
        self.permit(caller, action, Target::record(&credential))?;
        self.require_user(user_id).await?;
        Ok(credential)
    }
}
