//! The questions of the directory, one request each or a few.

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    KeystoneAnswer, KeystoneClient, KeystoneError,
    cache::{Found, Heard},
    transport::{MAX_LIST, Outgoing},
    wire::{self, RoleInfo},
};
use crate::{
    directory::{Membership, Role},
    domain::{ProjectId, UserId},
};

/// A user, but for what its domain says.
pub(super) struct UserInfo {
    pub(super) name: String,
    pub(super) domain_id: String,
    pub(super) enabled: bool,
    pub(super) default_project_id: Option<ProjectId>,
}

/// A project, but for what its domain says.
pub(super) struct ProjectInfo {
    pub(super) name: String,
    /// None if it is a domain itself.
    pub(super) domain_id: Option<String>,
    pub(super) enabled: bool,
}

/// What is known of a domain.
pub(super) struct DomainInfo {
    pub(super) name: String,
    pub(super) enabled: bool,
}

impl DomainInfo {
    /// One that may not be looked at.
    pub(super) fn unknown(id: &str) -> Self {
        Self { name: id.into(), enabled: true }
    }
}

pub(super) async fn user(client: KeystoneClient, id: UserId) -> Heard<Arc<UserInfo>> {
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
    // A database may take ids for equal that are not.
    if user.id != id.as_str() {
        return Ok(None);
    }
    let default_project_id = user.default_project_id.and_then(|id| ProjectId::new(id).ok());
    let Body { name, domain_id, enabled, .. } = user;
    Ok(Some(found(UserInfo { name, domain_id, enabled, default_project_id })))
}

pub(super) async fn project(client: KeystoneClient, id: ProjectId) -> Heard<Arc<ProjectInfo>> {
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

/// The domain; nothing if the service user may not look at it.
pub(super) async fn domain(client: KeystoneClient, id: String) -> Heard<Arc<DomainInfo>> {
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
) -> Heard<Arc<Membership>> {
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
    // One role may come by several ways.
    let roles: BTreeMap<_, _> =
        role_assignments.into_iter().map(|held| (held.role.id, held.role.name)).collect();
    if roles.is_empty() {
        return Ok(None);
    }
    let roles = roles.into_iter().map(|(id, name)| Role { id, name }).collect();
    Ok(Some(found(Membership { roles })))
}

fn found<T>(value: T) -> Found<Arc<T>> {
    Found { value: Arc::new(value), ends_at: None }
}

/// Asks for one thing; none if Keystone says that there is none.
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
            "Keystone does not let the service user look at {things}: it lacks a role that may, \
             as admin or, but for access tokens, reader for the system"
        ))),
        status => Err(wire::unexpected_status(things, status)),
    }
}

/// An id as one segment of a path; none if no server would take it for one.
pub(super) fn segment(id: &str) -> Option<String> {
    let is_one = !id.is_empty() && id != "." && id != ".." && !id.contains('/');
    is_one.then(|| encoded(id))
}

fn encoded(id: &str) -> String {
    utf8_percent_encode(id, NON_ALPHANUMERIC).to_string()
}
