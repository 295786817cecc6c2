//! AWS Identity and Access Management (IAM), version 2010-05-08: the access keys of the signer's own
//! user.
//!
//! | action | parameters | result |
//! |---|---|---|
//! | `CreateAccessKey` | `UserName` | a new key, with its secret |
//! | `DeleteAccessKey` | `UserName`, `AccessKeyId` | |
//! | `GetAccessKeyLastUsed` | `AccessKeyId` | when the key was last used |
//! | `GetUser` | `UserName` | the user |
//! | `ListAccessKeys` | `UserName`, `Marker`, `MaxItems` | a page of keys |
//! | `UpdateAccessKey` | `UserName`, `AccessKeyId`, `Status` | |
//!
//! `UserName` is the id of the user. It may be left out, and must be that of the signer otherwise.
//!
//! Source: AWS Identity and Access Management API Reference.

use std::time::UNIX_EPOCH;

use crate::{
    authority::{LastUsed, OwnKeyAction, OwnKeyCommand, OwnKeyOutcome, View},
    dialect::query_api::{
        Answer, Form, Params, QueryCode, QueryError, Xml, unique_id, user_arn, violation,
    },
    domain::{AccessKey, Status, format_time},
    signature::request::Service,
};

pub(super) const VERSION: &str = "2010-05-08";

const USER_NAME: Form = Form { length: 1..=128, others: Some("+=,.@-") };
// Keys of other dialects have more characters than those of IAM.
const ACCESS_KEY_ID: Form = Form { length: 1..=128, others: None };
const MARKER: Form = Form { length: 1..=320, others: None };
const PATH: &str = "/";

/// The default and the largest length of a page.
const PAGE: u64 = 100;
const MAX_PAGE: u64 = 1_000;

/// A request: what to do, and the name of its response.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) command: OwnKeyCommand,
    pub(crate) action: &'static str,
}

impl Operation {
    /// Parses the parameters of a signed request.
    pub(crate) fn parse(params: &Params) -> Result<Self, QueryError> {
        let (name, action) = match params.action(VERSION)? {
            "CreateAccessKey" => ("CreateAccessKey", OwnKeyAction::Create),
            "DeleteAccessKey" => ("DeleteAccessKey", OwnKeyAction::Delete(access_key(params)?)),
            "GetAccessKeyLastUsed" => {
                ("GetAccessKeyLastUsed", OwnKeyAction::LastUsed(access_key(params)?))
            }
            "GetUser" => ("GetUser", OwnKeyAction::GetUser),
            "ListAccessKeys" => {
                let limit = params.number("MaxItems")?.unwrap_or(PAGE);
                if !(1..=MAX_PAGE).contains(&limit) {
                    return Err(violation("MaxItems", "Member must be from 1 to 1000"));
                }
                let limit = usize::try_from(limit).ok();
                (
                    "ListAccessKeys",
                    OwnKeyAction::List { after: params.text("Marker", &MARKER)?, limit },
                )
            }
            "UpdateAccessKey" => {
                let status = params.get("Status");
                let status =
                    status.ok_or_else(|| violation("Status", "Member must not be null"))?;
                let status = Status::from_word(status).ok_or_else(|| {
                    QueryError::new(QueryCode::InvalidInput, "Status must be Active or Inactive.")
                })?;
                ("UpdateAccessKey", OwnKeyAction::Update(access_key(params)?, status))
            }
            other => return Err(QueryError::no_action(other)),
        };
        let user_name = match action {
            OwnKeyAction::LastUsed(_) => None,
            _ => params.text("UserName", &USER_NAME)?,
        };
        Ok(Self { command: OwnKeyCommand { user_name, action }, action: name })
    }
}

/// The response to a request.
pub(crate) fn answer(action: &'static str, outcome: &OwnKeyOutcome, account: &str) -> Answer {
    let mut result = Xml::new();
    match outcome {
        OwnKeyOutcome::Done => return Answer { service: Service::Iam, action, result: None },
        OwnKeyOutcome::Created(view) => {
            result.element("AccessKey", |xml| {
                let credential = &view.credential;
                xml.text("UserName", credential.user_id.as_str());
                xml.text("AccessKeyId", key_of(view));
                xml.text("Status", credential.status.as_str());
                let secret = credential.secret_key().filter(|_| view.shows_secret());
                xml.text("SecretAccessKey", secret.map_or("", |secret| secret.expose()));
                xml.text("CreateDate", &format_time(credential.created_at));
            });
        }
        OwnKeyOutcome::LastUsed(view) => {
            result.text("UserName", view.credential.user_id.as_str());
            result.element("AccessKeyLastUsed", |xml| match view.last_used {
                LastUsed::At(time) => {
                    xml.text("LastUsedDate", &format_time(time));
                    xml.text("ServiceName", "s3").text("Region", "N/A");
                }
                LastUsed::Never | LastUsed::NoLog | LastUsed::Unknown => {
                    xml.text("ServiceName", "N/A").text("Region", "N/A");
                }
            });
        }
        OwnKeyOutcome::Listed { views, next } => {
            result.element("AccessKeyMetadata", |xml| {
                for view in views {
                    xml.element("member", |xml| write_metadata(xml, view));
                }
            });
            result.text("IsTruncated", if next.is_some() { "true" } else { "false" });
            if let Some(next) = next {
                result.text("Marker", next);
            }
        }
        OwnKeyOutcome::User(user_id) => {
            result.element("User", |xml| {
                xml.text("Path", PATH).text("UserName", user_id.as_str());
                xml.text("UserId", &unique_id("AIDA", user_id));
                xml.text("Arn", &user_arn(user_id, account));
                // No directory knows it.
                xml.text("CreateDate", &format_time(UNIX_EPOCH));
            });
        }
    }
    Answer { service: Service::Iam, action, result: Some(result) }
}

fn write_metadata(xml: &mut Xml, view: &View) {
    let credential = &view.credential;
    xml.text("UserName", credential.user_id.as_str())
        .text("AccessKeyId", key_of(view))
        .text("Status", credential.status.as_str())
        .text("CreateDate", &format_time(credential.created_at));
}

fn key_of(view: &View) -> &str {
    view.credential.access_key.as_ref().map_or("", AccessKey::as_str)
}

fn access_key(params: &Params) -> Result<AccessKey, QueryError> {
    let key = params.text("AccessKeyId", &ACCESS_KEY_ID)?;
    let key = key.ok_or_else(|| violation("AccessKeyId", "Member must not be null"))?;
    Ok(AccessKey::from_stored(key))
}
