//! The directory's lookups, each of one or a few requests.

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    directory::{Membership, Role},
    domain::{ProjectId, UserId},
};

use super::{
    cache::{Fetched, Found},
    client::KeystoneClient,
    error::KeystoneError,
    transport::{KeystoneAnswer, MAX_LIST, Outgoing},
    wire::{self, RoleInfo},
};

/// A user without its domain.
pub(super) struct UserInfo {
    pub(super) name: String,
    pub(super) domain_id: String,
    pub(super) enabled: bool,
    pub(super) default_project_id: Option<ProjectId>,
}

/// A project without its domain.
pub(super) struct ProjectInfo {
    pub(super) name: String,
    /// `None` if the project is a domain itself.
    pub(super) domain_id: Option<String>,
    pub(super) enabled: bool,
}

/// A domain.
pub(super) struct DomainInfo {
    pub(super) name: String,
    pub(super) enabled: bool,
}

impl DomainInfo {
    /// A domain that the service user may not read.
    pub(super) fn unknown(id: &str) -> Self {
        Self { name: id.into(), enabled: true }
    }
}

pub(super) async fn user(client: KeystoneClient, id: UserId) -> Fetched<Arc<UserInfo>> {
    #[derive(Deserialize)]
    struct Envelope {
        user: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        id: String,
        name: String,
        domain_id: String,
        enabled: bool,
        default_project_id: Option<String>,
    }
    let Some(segment) = segment(id.as_str()) else { return Ok(None) };
    let Some(Envelope { user }) = get(&client, format!("/users/{segment}"), "users").await? else {
        return Ok(None);
    };
    // Keystone's database may ignore the case of ids.
    if user.id != id.as_str() {
        return Ok(None);
    }
    let default_project_id = user.default_project_id.and_then(|id| ProjectId::new(id).ok());
    let Body { name, domain_id, enabled, .. } = user;
    Ok(Some(found(UserInfo { name, domain_id, enabled, default_project_id })))
}

pub(super) async fn project(client: KeystoneClient, id: ProjectId) -> Fetched<Arc<ProjectInfo>> {
    #[derive(Deserialize)]
    struct Envelope {
        project: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        id: String,
        name: String,
        domain_id: Option<String>,
        enabled: bool,
    }
    let Some(segment) = segment(id.as_str()) else { return Ok(None) };
    let path = format!("/projects/{segment}");
    let Some(Envelope { project }) = get(&client, path, "projects").await? else {
        return Ok(None);
    };
    if project.id != id.as_str() {
        return Ok(None);
    }
    let Body { name, domain_id, enabled, .. } = project;
    Ok(Some(found(ProjectInfo { name, domain_id, enabled })))
}

/// Fetches a domain; `None` if the service user may not read it.
pub(super) async fn domain(client: KeystoneClient, id: String) -> Fetched<Arc<DomainInfo>> {
    #[derive(Deserialize)]
    struct Envelope {
        domain: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        name: String,
        enabled: bool,
    }
    let Some(segment) = segment(&id) else { return Ok(None) };
    let answer = client.send(Outgoing::get(format!("/domains/{segment}"))).await?;
    if answer.status == StatusCode::FORBIDDEN || answer.is_not_found() {
        return Ok(None);
    }
    let Envelope { domain } = read(&answer, "domains")?;
    Ok(Some(found(DomainInfo { name: domain.name, enabled: domain.enabled })))
}

pub(super) async fn membership(
    client: KeystoneClient,
    (user_id, project_id): (UserId, ProjectId),
) -> Fetched<Arc<Membership>> {
    #[derive(Deserialize)]
    struct Envelope {
        role_assignments: Vec<Body>,
    }
    #[derive(Deserialize)]
    struct Body {
        role: RoleInfo,
    }
    let (user, project) = (encoded(user_id.as_str()), encoded(project_id.as_str()));
    let path = format!(
        "/role_assignments?user.id={user}&scope.project.id={project}&effective&include_names"
    );
    let Some(Envelope { role_assignments }) = get(&client, path, "role assignments").await? else {
        return Ok(None);
    };
    // A user may have one role through several assignments.
    let roles: BTreeMap<_, _> =
        role_assignments.into_iter().map(|held| (held.role.id, held.role.name)).collect();
    if roles.is_empty() {
        return Ok(None);
    }
    let roles = roles.into_iter().map(|(id, name)| Role { id, name }).collect();
    Ok(Some(found(Membership { roles })))
}

fn found<T>(value: T) -> Found<Arc<T>> {
    Found { value: Arc::new(value), expires_at: None }
}

/// Fetches one thing; `None` if it does not exist.
pub(super) async fn get<T: DeserializeOwned>(
    client: &KeystoneClient,
    path: String,
    things: &'static str,
) -> Result<Option<T>, KeystoneError> {
    let answer = client.send(Outgoing { max_answer: MAX_LIST, ..Outgoing::get(path) }).await?;
    if answer.is_not_found() { Ok(None) } else { read(&answer, things).map(Some) }
}

fn read<T: DeserializeOwned>(
    answer: &KeystoneAnswer,
    things: &'static str,
) -> Result<T, KeystoneError> {
    match answer.status {
        StatusCode::OK => wire::parse(&answer.body),
        StatusCode::FORBIDDEN => Err(KeystoneError::refused(format!(
            "Keystone does not let the service user read {things}: it needs the role `admin` or, \
             except for access tokens, `reader` for the system"
        ))),
        status => Err(wire::unexpected_status(things, status)),
    }
}

/// Encodes an id as a path segment; `None` if a server would not accept it as one segment.
pub(super) fn segment(id: &str) -> Option<String> {
    let is_one = !id.is_empty() && id != "." && id != ".." && !id.contains('/');
    is_one.then(|| encoded(id))
}

fn encoded(id: &str) -> String {
    utf8_percent_encode(id, NON_ALPHANUMERIC).to_string()
}
