//! What conditions are compared with: [`RequestFacts`].

use std::{
    borrow::Cow,
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, header};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{actions::ActionSet, condition::Value, keys::Key};
use crate::operation::{S3Check, S3Operation, S3OperationName as Name, S3Resource, decode};

/// The account of ARNs, unless another one is set.
const ACCOUNT: &str = "000000000000";

/// The header with tags.
const TAGGING: &str = "x-amz-tagging";

const NANOSECONDS_PER_DAY: f64 = 86_400e9;

/// The key and the value of a tag.
type Tag<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A request, as conditions see it.
///
/// What is not set is unknown: a statement with a condition on it cannot allow, and denies.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequestFacts<'a> {
    operation: &'a S3Operation<'a>,
    headers: &'a HeaderMap,
    user_id: &'a str,
    account_id: &'a str,
    principal: Principal<'a>,
    token_issued_at: Option<SystemTime>,
    version_id: Option<Cow<'a, str>>,
    now: Option<SystemTime>,
    auth: Option<AuthType>,
    signed_at: Option<SystemTime>,
    source_ip: Option<IpAddr>,
    tls: Option<(bool, Option<f64>)>,
}

/// How a request is signed, with version 4 of AWS's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthType {
    /// In the fields of a form.
    Form,
    /// In the header `Authorization`.
    Header,
    /// In the query: a presigned request.
    Query,
}

/// Whom a request stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Principal<'a> {
    /// A federated user with this name.
    Federated(&'a str),
    /// A role session with this name.
    Role(&'a str),
    /// The user.
    User,
}

impl Principal<'_> {
    /// Returns the ARN. That of a role session names the user, not the role.
    #[must_use]
    pub fn arn(self, account_id: &str, user_id: &str) -> String {
        match self {
            Self::Federated(name) => format!("arn:aws:sts::{account_id}:federated-user/{name}"),
            Self::Role(name) => format!("arn:aws:sts::{account_id}:assumed-role/{user_id}/{name}"),
            Self::User => format!("arn:aws:iam::{account_id}:user/{user_id}"),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Federated(_) => "FederatedUser",
            Self::Role(_) => "AssumedRole",
            Self::User => "User",
        }
    }
}

impl<'a> RequestFacts<'a> {
    /// Creates the facts of a request with a key of this user.
    pub fn new(operation: &'a S3Operation<'a>, headers: &'a HeaderMap, user_id: &'a str) -> Self {
        Self {
            operation,
            headers,
            user_id,
            account_id: ACCOUNT,
            principal: Principal::User,
            token_issued_at: None,
            version_id: operation.version_id(),
            now: None,
            auth: None,
            signed_at: None,
            source_ip: None,
            tls: None,
        }
    }

    /// Sets the account of ARNs. Default: `000000000000`.
    pub fn account_id(mut self, account_id: &'a str) -> Self {
        self.account_id = account_id;
        self
    }

    /// Sets that the request is signed with a session, which was issued at this time, and whom the
    /// session stands for. Default: a key of the user.
    pub fn session(mut self, issued_at: SystemTime, principal: Principal<'a>) -> Self {
        self.token_issued_at = Some(issued_at);
        self.principal = principal;
        self
    }

    /// Sets the current time.
    pub fn now(mut self, now: SystemTime) -> Self {
        self.now = Some(now);
        self
    }

    /// Sets how and when the request was signed.
    pub fn signed(mut self, auth: AuthType, at: Option<SystemTime>) -> Self {
        self.auth = Some(auth);
        self.signed_at = at;
        self
    }

    /// Sets the client's address.
    pub fn source_ip(mut self, address: IpAddr) -> Self {
        self.source_ip = Some(address);
        self
    }

    /// Sets whether the client's connection is encrypted, and the version of TLS, such as 1.3.
    pub fn tls(mut self, is_encrypted: bool, version: Option<f64>) -> Self {
        self.tls = Some((is_encrypted, version));
        self
    }

    pub(super) fn operation(&self) -> &'a S3Operation<'a> {
        self.operation
    }

    /// Returns the facts of one deletion of a batch.
    pub(super) fn of_version<'b>(&self, version_id: Option<&'b str>) -> RequestFacts<'b>
    where
        'a: 'b,
    {
        RequestFacts { version_id: version_id.map(Cow::Borrowed), ..self.clone() }
    }

    /// Returns the value of a key for a check. Actions that do not have the key have no value.
    pub(super) fn value(&self, key: &Key, check: S3Check, having: ActionSet) -> Value<'a> {
        if !having.contains(check.action) {
            return Value::Absent;
        }
        match key {
            Key::AuthType => known(self.auth, |auth| Value::Text(auth.name().into())),
            Key::ContentSha256 => self.content_sha256(),
            Key::CopySource => match self.operation.source() {
                Some((bucket, key)) => Value::Text(format!("{bucket}/{key}").into()),
                None => Value::Absent,
            },
            Key::CurrentTime | Key::EpochTime => {
                known(self.now, |now| Value::Date(nanoseconds(now)))
            }
            Key::Delimiter => text(self.operation.parameter("delimiter")),
            Key::Header(name) => self.own_header(name),
            Key::MaxKeys => {
                match self.operation.parameter("max-keys").map(|text| text.parse::<u32>()) {
                    Some(Ok(number)) => Value::Number(number.into()),
                    Some(Err(_)) => Value::Unknown,
                    None => Value::Absent,
                }
            }
            Key::ObjectCreationOperation => self.creates_object(),
            Key::Prefix => text(self.operation.parameter("prefix")),
            Key::PrincipalArn => {
                Value::Text(self.principal.arn(self.account_id, self.user_id).into())
            }
            Key::PrincipalType => Value::Text(self.principal.kind().into()),
            Key::Referer => self.header(header::REFERER.as_str()),
            Key::RemainingRetentionDays => match self.retain_until() {
                Value::Date(until) => known(self.now, |now| Value::Number(days(now, until))),
                other => other,
            },
            Key::RequestTag(tag) => self.tag(tag),
            Key::RequestTagKeys => match self.tags() {
                Ok(tags) if tags.is_empty() => Value::Absent,
                Ok(tags) => Value::Texts(tags.into_iter().map(|(key, _)| key).collect()),
                Err(unknown) => unknown,
            },
            Key::RetainUntil => self.retain_until(),
            Key::SecureTransport => known(self.tls, |(encrypted, _)| Value::Bool(encrypted)),
            Key::SignatureAge => match (self.now, self.signed_at) {
                (Some(now), Some(at)) => Value::Number(milliseconds(now, at)),
                _ => Value::Unknown,
            },
            Key::SignatureVersion => known(self.auth, |_| Value::Text("AWS4-HMAC-SHA256".into())),
            Key::SourceIp => known(self.source_ip, Value::Address),
            Key::TlsVersion => match self.tls {
                Some((true, Some(version))) => Value::Number(version),
                Some((false, _)) => Value::Absent,
                _ => Value::Unknown,
            },
            // Only sessions have one.
            Key::TokenIssueTime => match self.token_issued_at {
                Some(time) => Value::Date(nanoseconds(time)),
                None => Value::Absent,
            },
            Key::UserAgent => self.header(header::USER_AGENT.as_str()),
            Key::UserId => Value::Text(self.user_id.into()),
            Key::VersionId => text(match check.on {
                S3Resource::Source => self.operation.source_version_id().map(Cow::Borrowed),
                _ => self.version_id.clone(),
            }),
        }
    }

    /// Returns the value of a header that may be in the query too.
    fn own_header(&self, name: &str) -> Value<'a> {
        let in_body =
            matches!(self.operation.name(), Name::PutObjectRetention | Name::PutObjectLegalHold);
        if in_body && name.starts_with("x-amz-object-lock-") {
            return Value::Unknown;
        }
        // A precondition that the operation does not check must not allow it.
        let is_checked = match name {
            "if-match" => matches!(
                self.operation.name(),
                Name::CompleteMultipartUpload | Name::DeleteObject | Name::PutObject
            ),
            "if-none-match" => {
                matches!(self.operation.name(), Name::CompleteMultipartUpload | Name::PutObject)
            }
            _ => true,
        };
        if is_checked { self.header(name) } else { Value::Absent }
    }

    /// Returns the value of a header. Some stores ignore one that is in the query.
    fn header(&self, name: &str) -> Value<'a> {
        if self.operation.has_parameter_ignoring_case(name) {
            return Value::Unknown;
        }
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Value::Absent,
            (Some(value), None) => match value.to_str() {
                Ok(value) => Value::Text(value.into()),
                Err(_) => Value::Unknown,
            },
            (Some(_), Some(_)) => Value::Unknown,
        }
    }

    fn content_sha256(&self) -> Value<'a> {
        match (self.header("x-amz-content-sha256"), self.auth) {
            (Value::Absent, Some(AuthType::Query)) => Value::Text("UNSIGNED-PAYLOAD".into()),
            (value, _) => value,
        }
    }

    fn creates_object(&self) -> Value<'a> {
        match self.operation.name() {
            Name::CompleteMultipartUpload
            | Name::CopyObject
            | Name::PostObject
            | Name::PutObject => Value::Bool(true),
            Name::CreateMultipartUpload | Name::UploadPart | Name::UploadPartCopy => {
                Value::Bool(false)
            }
            _ => Value::Absent,
        }
    }

    fn retain_until(&self) -> Value<'a> {
        match self.own_header("x-amz-object-lock-retain-until-date") {
            Value::Text(text) => match OffsetDateTime::parse(&text, &Rfc3339) {
                Ok(date) => Value::Date(date.unix_timestamp_nanos()),
                Err(_) => Value::Unknown,
            },
            other => other,
        }
    }

    fn tag(&self, tag: &str) -> Value<'a> {
        match self.tags() {
            Ok(tags) => match tags.into_iter().find(|(key, _)| key == tag) {
                Some((_, value)) => Value::Text(value),
                None => Value::Absent,
            },
            Err(unknown) => unknown,
        }
    }

    /// Returns the tags that the request sets.
    fn tags(&self) -> Result<Vec<Tag<'a>>, Value<'a>> {
        // They are in the body.
        if self.operation.name() == Name::PutObjectTagging {
            return Err(Value::Unknown);
        }
        // A form has them in XML.
        if self.operation.name() == Name::PostObject && self.headers.contains_key(TAGGING) {
            return Err(Value::Unknown);
        }
        let text = match self.header(TAGGING) {
            Value::Absent => return Ok(Vec::new()),
            Value::Text(Cow::Borrowed(text)) => text,
            _ => return Err(Value::Unknown),
        };
        let mut tags: Vec<Tag<'_>> = Vec::new();
        for pair in text.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // A plus is a space to some parsers.
            let tag = decode(key).zip(decode(value)).filter(|_| !pair.contains('+'));
            let tag = tag.filter(|(key, _)| tags.iter().all(|(known, _)| known != key));
            tags.push(tag.ok_or(Value::Unknown)?);
        }
        Ok(tags)
    }
}

impl AuthType {
    fn name(self) -> &'static str {
        match self {
            Self::Form => "POST",
            Self::Header => "REST-HEADER",
            Self::Query => "REST-QUERY-STRING",
        }
    }
}

fn known<'a, T>(fact: Option<T>, value: impl FnOnce(T) -> Value<'a>) -> Value<'a> {
    fact.map_or(Value::Unknown, value)
}

fn text(text: Option<Cow<'_, str>>) -> Value<'_> {
    text.map_or(Value::Absent, Value::Text)
}

/// Returns the milliseconds since a request was signed; 0 for one from the future.
fn milliseconds(now: SystemTime, signed_at: SystemTime) -> f64 {
    now.duration_since(signed_at).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// Returns the days until a time, in nanoseconds since 1970; negative for one that has passed.
fn days(now: SystemTime, until: i128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "conditions compare numbers as floats")]
    let nanoseconds = (until - nanoseconds(now)) as f64;
    nanoseconds / NANOSECONDS_PER_DAY
}

/// Returns the nanoseconds since 1970. A clock may show any time.
fn nanoseconds(time: SystemTime) -> i128 {
    let signed = |nanoseconds: u128| i128::try_from(nanoseconds).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => signed(since.as_nanos()),
        Err(before) => -signed(before.duration().as_nanos()),
    }
}
