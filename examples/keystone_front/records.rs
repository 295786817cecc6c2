//! Keystone's credentials and the records of the store: one as the other.

use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tower_credentials::domain::{
    AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Material, ProjectId, SecretKey,
    Status, UserId, Version,
};

/// Members of a blob that tell under which delegation a key was made.
const TRUST: &str = "trust_id";
const APPLICATION_CREDENTIAL: &str = "app_cred_id";
const ACCESS_TOKEN: &str = "access_token_id";

/// Makes a record of a credential as Keystone lists it.
///
/// Beside it what is odd about it, if anything: it is kept to the letter, but not
/// everything will work with it.
///
/// # Errors
///
/// What no record can hold, in words that repeat no value.
pub(crate) fn from_keystone(
    mut found: Map<String, Value>,
    now: SystemTime,
) -> Result<(Credential, Option<&'static str>), &'static str> {
    let mut text = |name: &str| match found.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let id = text("id").filter(|id| !id.is_empty()).ok_or("it has no id")?;
    let kind = text("type").ok_or("it has no type")?;
    let blob = text("blob").ok_or("its blob is no text")?;
    let user = text("user_id").ok_or("it has no user")?;
    let user = UserId::new(user).map_err(|_| "its user's id cannot be kept")?;
    let project = match found.remove("project_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => {
            Some(ProjectId::new(id).map_err(|_| "its project's id cannot be kept")?)
        }
        Some(_) => return Err("its project's id is no text"),
    };
    found.remove("links");

    let is_pair = kind == Kind::EC2;
    let odd_kind = (kind.is_empty()).then_some("its type is empty");
    let misspelt = !is_pair && kind.eq_ignore_ascii_case(Kind::EC2);
    let odd_kind = if misspelt { Some("its type is ec2 in another case") } else { odd_kind };
    let (pair, odd) = if is_pair { pair(&id, &blob) } else { (None, odd_kind) };
    let mut credential = Credential::new(
        CredentialId::from_stored(id),
        Kind::from_stored(kind),
        user,
        Material::Blob(Blob::new(blob)),
        now,
        Version::fresh(),
    );
    credential.project_id = project;
    credential.attributes = found;
    if let Some((access, delegation)) = pair {
        credential.access_key = Some(access);
        credential.delegation = delegation;
    }
    Ok((credential, odd))
}

type Pair = (AccessKey, Option<Delegation>);

/// What the blob of a key pair tells; `None` if it is of no use.
fn pair(id: &str, blob: &str) -> (Option<Pair>, Option<&'static str>) {
    let Ok(members) = serde_json::from_str::<Map<String, Value>>(blob) else {
        return (None, Some("its blob is no JSON object"));
    };
    let Some(access) = members.get("access").and_then(Value::as_str) else {
        return (None, Some("its blob has no access key"));
    };
    let Ok(access) = AccessKey::new(access) else {
        return (None, Some("its access key cannot be used"));
    };
    let mut delegations = [TRUST, APPLICATION_CREDENTIAL, ACCESS_TOKEN]
        .into_iter()
        .filter_map(|name| Some((name, members.get(name).filter(|id| !id.is_null())?)));
    let delegation = match (delegations.next(), delegations.next()) {
        (None, _) => None,
        (Some((name, Value::String(id))), None) => Some(delegation(name, id.clone())),
        // Without its bounds it would be good for more than it was made for.
        _ => return (None, Some("its delegation cannot be understood")),
    };
    let odd = if members.get("secret").is_none_or(|secret| !secret.is_string()) {
        Some("its blob has no secret, so it never verifies")
    } else if CredentialId::of(&access).as_str() != id {
        Some("its access key was changed; here it works by the new one")
    } else {
        None
    };
    (Some((access, delegation)), odd)
}

fn delegation(name: &str, id: String) -> Delegation {
    match name {
        TRUST => Delegation::Trust { id },
        // Whether it is restricted is not told with the key: the narrower is safe.
        APPLICATION_CREDENTIAL => Delegation::ApplicationCredential { id, restricted: true },
        _ => Delegation::AccessToken { id },
    }
}

/// Whether two delegations are the same one; what is not told with a key aside.
pub(crate) fn same_delegation(one: Option<&Delegation>, other: Option<&Delegation>) -> bool {
    use Delegation::ApplicationCredential;
    match (one, other) {
        (
            Some(ApplicationCredential { id: one, .. }),
            Some(ApplicationCredential { id: other, .. }),
        ) => one == other,
        (one, other) => one == other,
    }
}

/// A record as Keystone takes it: type and blob.
///
/// `None` for what is not for Keystone: passwords, and pairs without a secret or an
/// access key. The status is not looked at.
pub(crate) fn for_keystone(credential: &Credential) -> Option<(&str, String)> {
    let access = credential.access_key.as_ref();
    let secret = match &credential.material {
        Material::Blob(blob) => {
            let kind = credential.kind.as_str();
            // Keystone takes a pair only if it finds the access key.
            let fits = !kind.eq_ignore_ascii_case(Kind::EC2)
                || (kind == Kind::EC2 && access.is_some() && access_in(blob).as_ref() == access);
            return fits.then(|| (kind, blob.expose().to_owned()));
        }
        Material::Grant { secret, .. } | Material::KeyPair { secret: Some(secret) } => secret,
        _ => return None,
    };
    let blob = pair_blob(access?, secret, credential.delegation.as_ref())?;
    Some((Kind::EC2, blob))
}

fn access_in(blob: &Blob) -> Option<AccessKey> {
    let members: Map<String, Value> = serde_json::from_str(blob.expose()).ok()?;
    Some(AccessKey::from_stored(members.get("access")?.as_str()?))
}

/// The blob of a key pair, as Keystone writes it; `None` if Keystone has no word for
/// the delegation, without which the key would be good for too much.
fn pair_blob(
    access: &AccessKey,
    secret: &SecretKey,
    delegation: Option<&Delegation>,
) -> Option<String> {
    let mut blob =
        json!({"access": access.as_str(), "secret": secret.expose(), TRUST: Value::Null});
    match delegation {
        None => {}
        Some(Delegation::Trust { id }) => blob[TRUST] = json!(id),
        Some(Delegation::ApplicationCredential { id, .. }) => {
            blob[APPLICATION_CREDENTIAL] = json!(id);
        }
        Some(Delegation::AccessToken { id }) => blob[ACCESS_TOKEN] = json!(id),
        Some(_) => return None,
    }
    Some(blob.to_string())
}

/// Whether Keystone is to have it now.
pub(crate) fn is_active(credential: &Credential) -> bool {
    credential.status == Status::Active
}
