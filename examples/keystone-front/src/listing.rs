//! All credentials of a Keystone, also where it does not list them all at once.
//!
//! Keystone's list of credentials has no pages: where an operator set a limit
//! (`list_limit`), it is cut short, says `truncated`, and begins anew at every
//! marker. Then each user is asked for; also where one list of all is too large, or
//! takes too long.

use std::{collections::BTreeMap, error::Error};

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tower_credentials::keystone::{KeystoneClient, KeystoneError, KeystoneErrorKind};

type Found = BTreeMap<String, Map<String, Value>>;

/// What Keystone told.
#[derive(Default)]
pub struct Listing {
    /// Credentials by their ids.
    pub credentials: Found,
    /// How many users have more than Keystone tells.
    pub incomplete: usize,
    /// Whether each user was asked for, and so only those whom Keystone lists.
    pub by_user: bool,
}

/// Lists all credentials.
pub async fn all(client: &KeystoneClient) -> Result<Listing, Box<dyn Error>> {
    let mut listing = Listing::default();
    let at_once = page(client, "/credentials", &mut listing.credentials).await;
    let why = match at_once {
        Ok(false) => return Ok(listing),
        Ok(true) => "Keystone cuts the list short".to_owned(),
        Err(error) if is_too_much(&*error) => error.to_string(),
        Err(error) => return Err(error),
    };
    tracing::info!(?why, "not all credentials are listed at once, asking for each user");
    listing.by_user = true;
    for domain in ids(client, "/domains", "domains").await? {
        for user in ids(client, &format!("/users?domain_id={}", escaped(&domain)), "users").await? {
            let path = format!("/credentials?user_id={}", escaped(&user));
            if page(client, &path, &mut listing.credentials).await? {
                listing.incomplete += 1;
                tracing::error!(?user, "Keystone lists only some credentials of this user");
            }
        }
    }
    Ok(listing)
}

/// Whether fewer at a time could help.
fn is_too_much(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<KeystoneError>().is_some_and(|error| {
        matches!(error.kind(), KeystoneErrorKind::TimedOut | KeystoneErrorKind::Unexpected)
    })
}

/// Adds a list of credentials; tells whether it was cut short.
async fn page(
    client: &KeystoneClient,
    path: &str,
    found: &mut Found,
) -> Result<bool, Box<dyn Error>> {
    let mut answer = get(client, path).await?;
    let Some(Value::Array(credentials)) = answer.remove("credentials") else {
        return Err(format!("Keystone's answer to {path} is no list").into());
    };
    for credential in credentials {
        if let Value::Object(credential) = credential
            && let Some(Value::String(id)) = credential.get("id")
        {
            found.insert(id.clone(), credential);
        }
    }
    Ok(answer.get("truncated") == Some(&Value::Bool(true)))
}

/// The ids in a list of many pages.
async fn ids(
    client: &KeystoneClient,
    path: &str,
    member: &str,
) -> Result<Vec<String>, Box<dyn Error>> {
    let (mut ids, mut path) = (Vec::new(), path.to_owned());
    loop {
        let answer = get(client, &path).await?;
        let (many, listed) = (ids.len(), answer.get(member).and_then(Value::as_array));
        let listed = listed.ok_or_else(|| format!("Keystone's answer to {path} is no list"))?;
        ids.extend(listed.iter().filter_map(|one| Some(one.get("id")?.as_str()?.to_owned())));
        let next = answer.get("links").and_then(|links| links.get("next")?.as_str());
        // Its host may be one that only clients can reach.
        let next = next.and_then(|next| next.find(&format!("/{member}?")).map(|at| &next[at..]));
        match next {
            Some(next) if ids.len() > many => next.clone_into(&mut path),
            _ => break,
        }
    }
    Ok(ids)
}

async fn get(client: &KeystoneClient, path: &str) -> Result<Map<String, Value>, Box<dyn Error>> {
    let answer = client.call(Method::GET, path, None).await?;
    if answer.status.as_u16() == 403 {
        return Err(
            format!("Keystone refuses {path}: the service user needs the role admin").into()
        );
    }
    if !answer.status.is_success() {
        return Err(format!("Keystone answers {path} with {}", answer.status).into());
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| format!("Keystone's answer to {path} is no JSON object").into())
}

/// Fit for a path segment or a query.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
