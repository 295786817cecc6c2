//! AWS Security Token Service (STS), version 2011-06-15: temporary credentials.
//!
//! | action | parameters | result |
//! |---|---|---|
//! | `AssumeRole` | `RoleArn`, `RoleSessionName`, `Policy`, `DurationSeconds`, `ExternalId`, `SourceIdentity`, `Tags` | credentials of a role session |
//! | `AssumeRoleWithWebIdentity` | | refused: no issuer is configured |
//! | `GetCallerIdentity` | | who signed the request |
//! | `GetFederationToken` | `Name`, `Policy`, `DurationSeconds`, `Tags` | credentials of a federated user |
//! | `GetSessionToken` | `DurationSeconds` | credentials of the user |
//!
//! Without a `RoleArn`, `AssumeRole` is for the signer's own user, as with other S3 stores. Tags are
//! checked and grant nothing. Policies by ARN, MFA and provided contexts are refused: ignoring them
//! would grant more than was asked for.
//!
//! Source: AWS Security Token Service API Reference.

use crate::{
    authority::{AssumeRole, SessionCommand, SessionOutcome},
    dialect::query_api::{Answer, Form, Params, QueryCode, QueryError, Xml, unique_id, violation},
    domain::{UserId, format_time},
    session::{Holder, SessionCredentials},
    signature::request::Service,
};

pub(super) const VERSION: &str = "2011-06-15";

/// The characters of names, beside letters, digits and `_`.
const NAME: &str = "+=,.@-";

const ROLE_ARN: Form = Form { length: 20..=2_048, others: None };
const SESSION_NAME: Form = Form { length: 2..=64, others: Some(NAME) };
const FEDERATED_NAME: Form = Form { length: 2..=32, others: Some(NAME) };
const EXTERNAL_ID: Form = Form { length: 2..=1_224, others: Some("+=,.@:/-") };
const SOURCE_IDENTITY: Form = Form { length: 2..=256, others: Some(NAME) };
// White space does not count towards the size of a policy, so that its text may be longer.
const POLICY: Form = Form { length: 1..=16_384, others: None };
const TAG_KEY: Form = Form { length: 1..=128, others: None };
const TAG_VALUE: Form = Form { length: 0..=256, others: None };

/// The most tags of a session.
const TAGS: usize = 50;

/// A request: what to do, and what its response repeats.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) command: SessionCommand,
    pub(crate) action: &'static str,
    pub(crate) source_identity: Option<String>,
}

impl Operation {
    /// Parses the parameters of a signed request.
    pub(crate) fn parse(params: &Params) -> Result<Self, QueryError> {
        let action = params.action(VERSION)?;
        let mut source_identity = None;
        let (action, command) = match action {
            "AssumeRole" => {
                refuse_unknown(params)?;
                check_tags(params)?;
                source_identity = params.text("SourceIdentity", &SOURCE_IDENTITY)?;
                if source_identity.as_ref().is_some_and(|text| text.starts_with("aws:")) {
                    return Err(violation("SourceIdentity", "Member must not begin with aws:"));
                }
                let command = AssumeRole {
                    role: params.text("RoleArn", &ROLE_ARN)?,
                    external_id: params.text("ExternalId", &EXTERNAL_ID)?,
                    name: params.text("RoleSessionName", &SESSION_NAME)?,
                    policy: params.text("Policy", &POLICY)?,
                    duration: params.number("DurationSeconds")?,
                    source_identity: source_identity.clone(),
                };
                ("AssumeRole", SessionCommand::AssumeRole(command))
            }
            "AssumeRoleWithWebIdentity" => return Err(no_issuer()),
            "GetCallerIdentity" => ("GetCallerIdentity", SessionCommand::GetCallerIdentity),
            "GetFederationToken" => {
                refuse_unknown(params)?;
                refuse_present(params, "RoleArn")?;
                check_tags(params)?;
                let name = params.text("Name", &FEDERATED_NAME)?;
                let name = name.ok_or_else(|| violation("Name", "Member must not be null"))?;
                let policy = params.text("Policy", &POLICY)?;
                let duration = params.number("DurationSeconds")?;
                (
                    "GetFederationToken",
                    SessionCommand::GetFederationToken { name, policy, duration },
                )
            }
            "GetSessionToken" => {
                refuse_unknown(params)?;
                refuse_present(params, "Policy")?;
                refuse_present(params, "RoleArn")?;
                let duration = params.number("DurationSeconds")?;
                ("GetSessionToken", SessionCommand::GetSessionToken { duration })
            }
            other => return Err(QueryError::no_action(other)),
        };
        Ok(Self { command, action, source_identity })
    }
}

/// The refusal of every web identity, of which no issuer is known.
pub(crate) fn no_issuer() -> QueryError {
    let message = "No OpenIDConnect provider found in your account for this token.";
    QueryError::new(QueryCode::InvalidIdentityToken, message)
}

/// Refuses parameters that would narrow what is granted, and that are not understood here.
fn refuse_unknown(params: &Params) -> Result<(), QueryError> {
    for name in ["PolicyArns", "ProvidedContexts", "ProviderId"] {
        if params.has(name) {
            let message = format!("{name} is not supported.");
            return Err(QueryError::new(QueryCode::InvalidInput, message));
        }
    }
    if params.has("SerialNumber") || params.has("TokenCode") {
        let message = "MultiFactorAuthentication failed: there is no MFA device here.";
        return Err(QueryError::new(QueryCode::AccessDenied, message));
    }
    Ok(())
}

/// Refuses a parameter that another action has, and that would narrow what is granted.
fn refuse_present(params: &Params, name: &'static str) -> Result<(), QueryError> {
    if params.has(name) {
        return Err(violation(name, "Member must be null for this action"));
    }
    Ok(())
}

/// Checks the form of tags, which grant nothing here.
fn check_tags(params: &Params) -> Result<(), QueryError> {
    let mut keys: Vec<String> = Vec::new();
    for tag in params.list("Tags", TAGS)? {
        let field = |name| tag.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let (Some(key), Some(value), 2) = (field("Key"), field("Value"), tag.len()) else {
            return Err(violation("Tags", "Member must have a key and a value"));
        };
        TAG_KEY.check("Tags", key)?;
        TAG_VALUE.check("Tags", value)?;
        let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        let key = key.to_lowercase();
        if !key.chars().chain(value.chars()).all(allowed) {
            return Err(violation("Tags", "Member must satisfy regular expression pattern"));
        }
        if keys.contains(&key) {
            return Err(violation("Tags", "Member must have unique keys"));
        }
        keys.push(key);
    }
    for key in params.list("TransitiveTagKeys", TAGS)? {
        let [("", key)] = key[..] else {
            return Err(violation("TransitiveTagKeys", "Member must be a list of texts"));
        };
        if !keys.contains(&key.to_lowercase()) {
            return Err(violation("TransitiveTagKeys", "Member must name a tag"));
        }
    }
    Ok(())
}

/// The response to a request.
pub(crate) fn answer(
    action: &'static str,
    outcome: &SessionOutcome,
    account: &str,
    source_identity: Option<&str>,
) -> Answer {
    let mut result = Xml::new();
    match outcome {
        SessionOutcome::Identity { user_id, holder } => {
            let (arn, id) = identity(user_id, holder, account);
            result.text("Arn", &arn).text("UserId", &id).text("Account", account);
        }
        SessionOutcome::Issued { user_id, holder, credentials } => {
            result.element("Credentials", |xml| write_credentials(xml, credentials));
            let (arn, id) = identity(user_id, holder, account);
            match holder {
                Holder::Federated(_) => {
                    result.element("FederatedUser", |xml| {
                        xml.text("FederatedUserId", &id).text("Arn", &arn);
                    });
                }
                Holder::Role(_) => {
                    result.element("AssumedRoleUser", |xml| {
                        xml.text("AssumedRoleId", &id).text("Arn", &arn);
                    });
                }
                Holder::User => {}
            }
            if let Some(identity) = source_identity {
                result.text("SourceIdentity", identity);
            }
        }
    }
    Answer { service: Service::Sts, action, result: Some(result) }
}

fn write_credentials(xml: &mut Xml, credentials: &SessionCredentials) {
    xml.text("AccessKeyId", credentials.access_key.as_str())
        .text("SecretAccessKey", credentials.secret_key.expose())
        .text("SessionToken", credentials.session_token.expose())
        .text("Expiration", &format_time(credentials.expires_at));
}

/// The ARN and the id of whom a signer stands for.
fn identity(user_id: &UserId, holder: &Holder, account: &str) -> (String, String) {
    let arn = holder.principal().arn(account, user_id.as_str());
    let id = match holder {
        Holder::Federated(name) => format!("{account}:{name}"),
        Holder::Role(name) => format!("{}:{name}", unique_id("AROA", user_id)),
        Holder::User => unique_id("AIDA", user_id),
    };
    (arn, id)
}
