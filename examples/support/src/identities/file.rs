//! Parses and validates the identities file.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    path::Path,
    time::Duration,
};

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tower_credentials::{
    auth::StaticTokens,
    aws::{InvalidRole, Role, StaticRoles},
    directory::{Project, StaticDirectory, User},
    domain::{Caller, ProjectId, Scope, UserId},
    secret_files::SecretFiles,
};

use super::Loaded;

/// See `development.toml` for an example of each table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    projects: Vec<ProjectTable>,
    #[serde(default)]
    users: Vec<UserTable>,
    #[serde(default)]
    tokens: Vec<TokenTable>,
    #[serde(default)]
    assignments: Vec<AssignmentTable>,
    #[serde(default)]
    roles: Vec<RoleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectTable {
    id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTable {
    id: String,
    name: String,
    /// The first is the default project.
    #[serde(default)]
    projects: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenTable {
    token: Option<String>,
    token_sha256: Option<String>,
    user_id: String,
    project_id: String,
    roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignmentTable {
    user_id: String,
    project_id: String,
    roles: Vec<String>,
}

/// A role that keys can assume. `boundary` is the JSON text of a boundary, `max_duration` is in
/// seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleTable {
    arn: String,
    boundary: Option<String>,
    max_duration: Option<u64>,
    external_id: Option<String>,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    projects: Vec<String>,
}

/// A member of a project without a role there.
const NO_ROLES: [&str; 0] = [];

/// Reads a file, or the built-in development set.
///
/// An error message contains no value of the file, because the value may be a token.
pub(super) fn read(path: Option<&Path>, files: SecretFiles) -> Result<Loaded, String> {
    let Some(path) = path else {
        return parse(include_str!("development.toml"))
            .map_err(|error| format!("development.toml, {error}"));
    };
    let text = files.read(path).map_err(|error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })?;
    parse(text.expose()).map_err(|error| format!("{}, {error}", path.display()))
}

fn parse(text: &str) -> Result<Loaded, String> {
    // The parser's message would contain the line, which may contain a token.
    let file: File = toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text[..at].matches('\n').count() + 1;
        // If a member has the wrong type, the value follows a colon.
        let what = error.message().split(':').next().unwrap_or_default();
        format!("line {line}: {what}")
    })?;
    let mut directory = StaticDirectory::new();

    let mut projects = HashMap::new();
    for (at, ProjectTable { id, name }) in numbered("projects", file.projects) {
        let project = ProjectId::new(&*id).map_err(|error| format!("{at}: id: {error}"))?;
        directory = directory.with_project(Project::new(project.clone(), name));
        add(&mut projects, id, project, &at)?;
    }

    let mut users = HashMap::new();
    for (at, UserTable { id, name, projects: member_of }) in numbered("users", file.users) {
        let user = UserId::new(&*id).map_err(|error| format!("{at}: id: {error}"))?;
        if projects.contains_key(&*id) {
            // Clients could not tell the user from the owner of the project's root keys.
            return Err(format!("{at}: id is also the id of a project"));
        }
        let mut user = User::new(user, name);
        for project in member_of {
            let project = find(&projects, &project, &at, "unknown project in projects")?;
            user.default_project_id.get_or_insert_with(|| project.clone());
            directory = directory.with_member(user.id.clone(), project, NO_ROLES);
        }
        directory = directory.with_user(user.clone());
        add(&mut users, id, user, &at)?;
    }
    let user = |id: &str, at: &str| find(&users, id, at, "unknown user_id");
    let project = |id: &str, at: &str| find(&projects, id, at, "unknown project_id");

    for (at, table) in numbered("assignments", file.assignments) {
        let (user, project) = (user(&table.user_id, &at)?, project(&table.project_id, &at)?);
        directory = directory.with_member(user.id, project, table.roles);
    }

    let (mut tokens, mut digests) = (StaticTokens::new(), HashSet::new());
    for (at, table) in numbered("tokens", file.tokens) {
        let (user, project) = (user(&table.user_id, &at)?, project(&table.project_id, &at)?);
        let caller = Caller::new(user.id, Scope::Project(project)).with_roles(table.roles);
        let digest = match (table.token, table.token_sha256) {
            (Some(token), None) if !token.is_empty() => HEXLOWER.encode(&Sha256::digest(token)),
            (None, Some(digest)) => digest.to_ascii_lowercase(),
            _ => return Err(format!("{at}: exactly one of token and token_sha256 is required")),
        };
        tokens = tokens
            .with_token_sha256(&digest, user.name, caller)
            .map_err(|error| format!("{at}: token_sha256: {error}"))?;
        if !digests.insert(digest) {
            return Err(format!("{at}: duplicate token"));
        }
    }
    let (mut roles, mut arns) = (StaticRoles::new(), HashSet::new());
    for (at, table) in numbered("roles", file.roles) {
        if !arns.insert(table.arn.clone()) {
            return Err(format!("{at}: duplicate arn"));
        }
        let failed = |error: InvalidRole| format!("{at}: {error}");
        let mut role = Role::new(table.arn).map_err(failed)?;
        if let Some(boundary) = table.boundary {
            role = role.boundary(&boundary).map_err(failed)?;
        }
        if let Some(seconds) = table.max_duration {
            role = role.longest(Duration::from_secs(seconds)).map_err(failed)?;
        }
        if let Some(id) = table.external_id {
            role = role.external_id(id);
        }
        for id in table.users {
            role = role.user(find(&users, &id, &at, "unknown user in users")?.id);
        }
        for id in table.projects {
            role = role.project(find(&projects, &id, &at, "unknown project in projects")?);
        }
        roles = roles.with_role(role);
    }
    Ok(Loaded { tokens, directory, roles })
}

/// The tables of a kind, each with a name for error messages.
fn numbered<T>(kind: &str, tables: Vec<T>) -> impl Iterator<Item = (String, T)> {
    let place = move |number| format!("[[{kind}]] number {number}");
    (1..).map(place).zip(tables)
}

fn add<T>(known: &mut HashMap<String, T>, id: String, new: T, at: &str) -> Result<(), String> {
    match known.insert(id, new) {
        Some(_) => Err(format!("{at}: duplicate id")),
        None => Ok(()),
    }
}

fn find<T: Clone>(
    known: &HashMap<String, T>,
    id: &str,
    at: &str,
    message: &str,
) -> Result<T, String> {
    known.get(id).cloned().ok_or_else(|| format!("{at}: {message}"))
}
