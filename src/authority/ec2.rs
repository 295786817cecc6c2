//! A user's key pairs through OS-EC2, addressed by their access key: create, list,
//! show, delete.

use std::sync::Arc;

use super::{checks::Authority, listing::End, outcome::Outcome, write::Address};
use crate::{
    backend::{ListQuery, Order},
    domain::{
        AccessKey, Caller, Credential, CredentialId, Kind, Material, ProjectId, UserId, Version,
        generate_pair,
    },
    error::{Error, ErrorKind},
    policy::{Action, Target},
};

#[derive(Debug)]
pub(crate) enum Ec2Command {
    Create(CreateEc2),
    Delete { user_id: UserId, access_key: AccessKey },
    List(ListEc2),
    Show { user_id: UserId, access_key: AccessKey },
}

/// A new key pair; both keys are generated.
#[derive(Debug)]
pub(crate) struct CreateEc2 {
    pub(crate) user_id: UserId,
    /// `None` if the client named no valid project.
    pub(crate) project_id: Option<ProjectId>,
}

#[derive(Debug)]
pub(crate) struct ListEc2 {
    pub(crate) user_id: UserId,
    /// The id of the last record of the previous page.
    pub(crate) marker: Option<String>,
    pub(crate) limit: Option<usize>,
}

impl Authority {
    pub(super) async fn run_ec2(
        &self,
        caller: &Caller,
        command: Ec2Command,
    ) -> Result<Outcome, Error> {
        match command {
            Ec2Command::Create(command) => self.create_ec2(caller, command).await,
            Ec2Command::Delete { user_id, access_key } => {
                let address = Address::Ec2(&user_id, &access_key);
                self.delete(caller, Action::DeleteEc2, address).await
            }
            Ec2Command::List(command) => self.list_ec2(caller, command).await,
            Ec2Command::Show { user_id, access_key } => {
                let credential =
                    self.find_ec2(caller, Action::ShowEc2, &user_id, &access_key).await?;
                Ok(Outcome::Shown(self.credential_view(caller, credential)))
            }
        }
    }

    async fn create_ec2(&self, caller: &Caller, command: CreateEc2) -> Result<Outcome, Error> {
        let CreateEc2 { user_id, project_id } = command;
        let kind = Kind::ec2();
        let action = Action::CreateEc2;
        self.permit(caller, action, self.target(&user_id, project_id.as_ref(), Some(&kind)))?;
        let project_id =
            project_id.ok_or_else(|| Error::new(ErrorKind::NotFound, "No such project."))?;
        self.require_enabled_user(&user_id).await?;
        self.require_enabled_project(&project_id).await?;
        self.require_place(action, &user_id, &project_id).await?;

        let (access_key, secret) = generate_pair()?;
        let material = Material::KeyPair { secret: Some(secret) };
        let (id, now) = (CredentialId::of(&access_key), self.clock.now());
        let mut credential = Credential::new(id, kind, user_id, material, now, Version::fresh());
        credential.project_id = Some(project_id);
        credential.access_key = Some(access_key);
        credential.delegation.clone_from(&caller.delegation);
        self.insert(caller, credential).await
    }

    async fn list_ec2(&self, caller: &Caller, command: ListEc2) -> Result<Outcome, Error> {
        let ListEc2 { user_id, marker, limit } = command;
        let action = Action::ListEc2;
        // Another user's keys are those in the caller's own project, as in IBM's dialect.
        let project_id = caller.project_id().filter(|_| user_id != caller.user_id);
        self.permit(caller, action, self.target(&user_id, project_id, None))?;
        self.require_user(&user_id).await?;

        let mut query = ListQuery::new(Order::Id);
        (query.user_id, query.kind) = (Some(user_id), Some(Kind::ec2()));
        self.start_after(&mut query, marker).await?;
        let view = |record: Arc<Credential>| {
            let is_listed = record.access_key.is_some() && self.allows(caller, action, &record);
            is_listed.then(|| self.credential_view(caller, record))
        };
        Ok(Outcome::Listed(self.page(query, limit, End::Marked, view).await?))
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
    ) -> Result<Arc<Credential>, Error> {
        if caller.delegation.is_some() {
            self.permit(caller, action, Target::default())?;
        }
        let found = self.backend().find_by_access_key(access_key).await?;
        let found = found.filter(|found| found.kind.is_ec2());
        let credential = found.ok_or_else(Error::no_such_credential)?;
        self.permit(caller, action, Target::record(&credential))?;
        self.require_user(user_id).await?;
        Ok(credential)
    }
}
