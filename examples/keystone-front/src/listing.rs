//! Lists all credentials of a Keystone.
//!
//! Keystone's list of credentials has no pages. If an operator set `list_limit`, the list is
//! truncated, and markers have no effect. Then the credentials are listed by user. So they are if
//! the list of all is too large, or takes too long.

use std::{collections::BTreeMap, error::Error};

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tower_credentials::keystone::{KeystoneClient, KeystoneError, KeystoneErrorKind};

type Found = BTreeMap<String, Map<String, Value>>;

/// The credentials of a Keystone.
#[derive(Default)]
pub struct Listing {
    /// The credentials by id.
    pub credentials: Found,
    /// How many users have more credentials than Keystone lists.
    pub incomplete_users: usize,
    /// Whether the credentials were listed by user. Then those of users whom Keystone does not list
    /// are missing.
    pub by_user: bool,
}

/// Lists all credentials.
pub async fn all(client: &KeystoneClient) -> Result<Listing, Box<dyn Error>> {
    let mut listing = Listing::default();
    let all = page(client, "/credentials", &mut listing.credentials).await;
    let reason = match all {
        Ok(false) => return Ok(listing),
        Ok(true) => "Keystone truncates the list".to_owned(),
        Err(error) if is_too_much(&*error) => error.to_string(),
        Err(error) => return Err(error),
    };
    tracing::info!(?reason, "cannot list all credentials at once, listing them by user");
    listing.by_user = true;
    for domain in ids(client, "/domains", "domains").await? {
        for user in ids(client, &format!("/users?domain_id={}", escaped(&domain)), "users").await? {
            let path = format!("/credentials?user_id={}", escaped(&user));
            if page(client, &path, &mut listing.credentials).await? {
                listing.incomplete_users += 1;
                tracing::error!(?user, "Keystone truncates the list of this user's credentials");
            }
        }
    }
    Ok(listing)
}

/// Whether shorter lists could succeed.
fn is_too_much(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<KeystoneError>().is_some_and(|error| {
        matches!(error.kind(), KeystoneErrorKind::TimedOut | KeystoneErrorKind::Unexpected)
    })
}

/// Adds the credentials of a list; returns whether the list was truncated.
async fn page(
    client: &KeystoneClient,
    path: &str,
    found: &mut Found,
) -> Result<bool, Box<dyn Error>> {
    let mut response = get(client, path).await?;
    let Some(Value::Array(credentials)) = response.remove("credentials") else {
        return Err(format!("Keystone's response to {path} is not a list").into());
    };
    for credential in credentials {
        if let Value::Object(credential) = credential
            && let Some(Value::String(id)) = credential.get("id")
        {
            found.insert(id.clone(), credential);
        }
    }
    Ok(response.get("truncated") == Some(&Value::Bool(true)))
}

/// The ids in a list with pages.
async fn ids(
    client: &KeystoneClient,
    path: &str,
    member: &str,
) -> Result<Vec<String>, Box<dyn Error>> {
    let (mut ids, mut path) = (Vec::new(), path.to_owned());
    loop {
        let response = get(client, &path).await?;
        let (before, listed) = (ids.len(), response.get(member).and_then(Value::as_array));
        let listed =
            listed.ok_or_else(|| format!("Keystone's response to {path} is not a list"))?;
        ids.extend(listed.iter().filter_map(|one| Some(one.get("id")?.as_str()?.to_owned())));
        let next = response.get("links").and_then(|links| links.get("next")?.as_str());
        // The link's host may be reachable only for clients.
        let next = next.and_then(|next| next.find(&format!("/{member}?")).map(|at| &next[at..]));
        match next {
            Some(next) if ids.len() > before => next.clone_into(&mut path),
            _ => break,
        }
    }
    Ok(ids)
}

async fn get(client: &KeystoneClient, path: &str) -> Result<Map<String, Value>, Box<dyn Error>> {
    let response = client.call(Method::GET, path, None).await?;
    if response.status.as_u16() == 403 {
        return Err(format!(
            "Keystone returned 403 for {path}: the service user needs the role admin"
        )
        .into());
    }
    if !response.status.is_success() {
        return Err(format!("Keystone returned {} for {path}", response.status).into());
    }
    serde_json::from_slice(&response.body)
        .map_err(|_| format!("Keystone's response to {path} is not a JSON object").into())
}

/// Encodes text for a path segment or a query.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
