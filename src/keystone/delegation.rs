//! Fetches delegations: trusts, application credentials and OAuth1 access tokens.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use serde::Deserialize;

use crate::{
    directory::Role,
    domain::{Delegation, ProjectId, UserId},
};

use super::{
    cache::{Fetched, Found},
    client::KeystoneClient,
    error::KeystoneError,
    lookup::{get, segment},
    wire::{RoleInfo, Timestamp},
};

/// A delegation as it was granted.
pub(super) struct DelegationInfo {
    /// The user who acts.
    pub(super) user_id: UserId,
    /// The user who granted it, who must still have the roles.
    pub(super) grantor: UserId,
    /// The users who must be enabled.
    pub(super) involved: Vec<UserId>,
    pub(super) project_id: Option<ProjectId>,
    roles: Vec<RoleInfo>,
    /// Whether it ends when the grantor loses one of the roles.
    needs_all: bool,
}

impl DelegationInfo {
    /// The roles that it grants while the grantor has the `held` ones; `None` if it has ended.
    pub(super) fn roles_within(&self, held: &[Role]) -> Option<Vec<Role>> {
        let held: HashSet<&str> = held.iter().map(|role| &*role.id).collect();
        let (granted, lost): (Vec<_>, Vec<_>) =
            self.roles.iter().partition(|role| held.contains(&*role.id));
        if self.needs_all && !lost.is_empty() {
            return None;
        }
        let role = |role: &RoleInfo| Role { id: role.id.clone(), name: role.name.clone() };
        Some(granted.into_iter().map(role).collect())
    }
}

/// Fetches a delegation; `None` if it has ended or does not exist.
pub(super) async fn delegation(
    client: KeystoneClient,
    (user_id, delegation): (UserId, Delegation),
) -> Fetched<Arc<DelegationInfo>> {
    let found = match &delegation {
        Delegation::AccessToken { id } => access_token(&client, user_id, id).await?,
        Delegation::ApplicationCredential { id, .. } => {
            application_credential(&client, user_id, id).await?
        }
        Delegation::Trust { id } => trust(&client, id).await?,
        Delegation::Ec2Credential | Delegation::Other => None,
    };
    let now = client.clock().now();
    let alive = found.filter(|(_, expires_at)| expires_at.is_none_or(|expiry| now < expiry));
    Ok(alive.map(|(info, expires_at)| Found { value: Arc::new(info), expires_at }))
}

/// A delegation and its expiry.
type Granted = Option<(DelegationInfo, Option<SystemTime>)>;

/// How often a trust may be redelegated. Keystone's default is 3.
const MAX_REDELEGATIONS: usize = 16;

#[derive(Deserialize)]
struct Trust {
    trustor_user_id: String,
    trustee_user_id: String,
    impersonation: bool,
    project_id: Option<String>,
    #[serde(default)]
    roles: Vec<RoleInfo>,
    expires_at: Option<Timestamp>,
    deleted_at: Option<String>,
    redelegated_trust_id: Option<String>,
}

async fn trust(client: &KeystoneClient, id: &str) -> Result<Granted, KeystoneError> {
    let Some(trust) = get_trust(client, id).await? else { return Ok(None) };
    let mut first = None;
    for _ in 0..MAX_REDELEGATIONS {
        let above = first.as_ref().unwrap_or(&trust).redelegated_trust_id.clone();
        let Some(above) = above else { break };
        let Some(above) = get_trust(client, &above).await? else { return Ok(None) };
        first = Some(above);
    }
    let acting = if trust.impersonation { &trust.trustor_user_id } else { &trust.trustee_user_id };
    let grantor = first.as_ref().map_or(&trust.trustor_user_id, |first| &first.trustor_user_id);
    let involved = [&trust.trustor_user_id, &trust.trustee_user_id];
    let info = DelegationInfo {
        user_id: UserId::from_stored(acting.clone()),
        involved: involved.map(|id| UserId::from_stored(id.clone())).into(),
        grantor: UserId::from_stored(grantor.clone()),
        project_id: trust.project_id.map(ProjectId::from_stored),
        roles: with_implied(client, trust.roles).await?,
        needs_all: true,
    };
    Ok(Some((info, trust.expires_at.map(|end| end.0))))
}

async fn get_trust(client: &KeystoneClient, id: &str) -> Result<Option<Trust>, KeystoneError> {
    #[derive(Deserialize)]
    struct Envelope {
        trust: Trust,
    }
    let Some(id) = segment(id) else { return Ok(None) };
    let found = get(client, format!("/OS-TRUST/trusts/{id}"), "trusts").await?;
    let trust = found.map(|Envelope { trust }| trust);
    Ok(trust.filter(|trust| trust.deleted_at.is_none()))
}

async fn application_credential(
    client: &KeystoneClient,
    user_id: UserId,
    id: &str,
) -> Result<Granted, KeystoneError> {
    #[derive(Deserialize)]
    struct Envelope {
        application_credential: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        user_id: Option<String>,
        project_id: String,
        #[serde(default)]
        roles: Vec<RoleInfo>,
        expires_at: Option<Timestamp>,
    }
    let (Some(user), Some(id)) = (segment(user_id.as_str()), segment(id)) else {
        return Ok(None);
    };
    let path = format!("/users/{user}/application_credentials/{id}");
    let found = get(client, path, "application credentials").await?;
    let Some(Envelope { application_credential: body }) = found else { return Ok(None) };
    // Keystone does not check that the user in the path is the owner.
    if body.user_id.is_some_and(|owner| owner != user_id.as_str()) {
        return Ok(None);
    }
    let info = DelegationInfo {
        involved: vec![user_id.clone()],
        grantor: user_id.clone(),
        user_id,
        project_id: Some(ProjectId::from_stored(body.project_id)),
        roles: body.roles,
        needs_all: false,
    };
    Ok(Some((info, body.expires_at.map(|end| end.0))))
}

async fn access_token(
    client: &KeystoneClient,
    user_id: UserId,
    id: &str,
) -> Result<Granted, KeystoneError> {
    #[derive(Deserialize)]
    struct Envelope {
        access_token: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        authorizing_user_id: String,
        project_id: String,
        expires_at: Option<Timestamp>,
    }
    #[derive(Deserialize)]
    struct Roles {
        roles: Vec<RoleInfo>,
    }
    let (Some(user), Some(id)) = (segment(user_id.as_str()), segment(id)) else {
        return Ok(None);
    };
    let path = format!("/users/{user}/OS-OAUTH1/access_tokens/{id}");
    let found = get(client, path.clone(), "access tokens").await?;
    let Some(Envelope { access_token: body }) = found else { return Ok(None) };
    if body.authorizing_user_id != user_id.as_str() {
        return Ok(None);
    }
    let found = get(client, format!("{path}/roles"), "access tokens").await?;
    let Some(Roles { roles }) = found else { return Ok(None) };
    let info = DelegationInfo {
        involved: vec![user_id.clone()],
        grantor: user_id.clone(),
        user_id,
        project_id: Some(ProjectId::from_stored(body.project_id)),
        roles: with_implied(client, roles).await?,
        needs_all: false,
    };
    Ok(Some((info, body.expires_at.map(|end| end.0))))
}

/// Adds the implied roles, as Keystone does for tokens.
async fn with_implied(
    client: &KeystoneClient,
    roles: Vec<RoleInfo>,
) -> Result<Vec<RoleInfo>, KeystoneError> {
    #[derive(Deserialize)]
    struct Envelope {
        role_inferences: Vec<Inference>,
    }
    #[derive(Deserialize)]
    struct Inference {
        prior_role: RoleInfo,
        implies: Vec<RoleInfo>,
    }
    let found = get(client, "/role_inferences".into(), "role inferences").await?;
    let found = found.map_or_else(Vec::new, |Envelope { role_inferences }| role_inferences);
    let implied: HashMap<String, Vec<RoleInfo>> =
        found.into_iter().map(|rule| (rule.prior_role.id, rule.implies)).collect();
    let (mut seen, mut all, mut next) = (HashSet::new(), Vec::new(), roles);
    while let Some(role) = next.pop() {
        if seen.insert(role.id.clone()) {
            next.extend(implied.get(&role.id).into_iter().flatten().cloned());
            all.push(role);
        }
    }
    Ok(all)
}
