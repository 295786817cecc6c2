//! The members of lines: events as JSON.

use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::{
    audit::{Actor, AuditEvent, AuditTarget, IssuedSession, RecordState},
    domain::{AccessKey, CredentialId, Delegation, Kind, ProjectId, Scope, UserId, format_time},
    origin::RequestId,
};

/// Returns the members of an event's line after `seq`.
pub(super) fn members(kind: &'static str, event: &AuditEvent, is_resolved: bool) -> String {
    text_of(&Line {
        r#type: kind,
        id: event.id.to_string(),
        time: time_of(event.time),
        action: event.action.as_str(),
        // The outcome of an intent is not known yet.
        outcome: (kind != "intent").then(|| event.outcome.as_str()),
        resolved: is_resolved.then_some(true),
        reason: event.reason.as_ref().map(|it| Reason { kind: it.kind, message: &it.message }),
        actor: ActorLine::of(&event.actor),
        target: TargetLine::of(&event.target),
        before: event.before.as_ref().map(StateLine::of),
        after: event.after.as_ref().map(StateLine::of),
        count: event.count,
        session: event.session.as_deref().map(SessionLine::of),
    })
}

/// Returns the members of a value, without the braces.
pub(super) fn text_of(value: &impl Serialize) -> String {
    let mut out = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Ascii);
    value.serialize(&mut serializer).expect("the members are plain data");
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    text[1..text.len() - 1].to_owned()
}

/// Returns a time in microseconds, such as `2026-01-02T03:04:05.000006Z`.
pub(super) fn time_of(time: SystemTime) -> String {
    let micros = time.duration_since(UNIX_EPOCH).map_or(0, |it| it.subsec_micros());
    let seconds = format_time(time);
    format!("{}.{micros:06}Z", seconds.trim_end_matches('Z'))
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    id: String,
    time: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason<'a>>,
    actor: ActorLine<'a>,
    target: TargetLine<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<StateLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<StateLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionLine<'a>>,
}

#[derive(Serialize)]
struct Reason<'a> {
    kind: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct ActorLine<'a> {
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain_id: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    system: bool,
    roles: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegation: Option<DelegationLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct DelegationLine<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

#[derive(Serialize)]
struct TargetLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

#[derive(Serialize)]
struct StateLine<'a> {
    /// A string: many parsers of JSON round numbers of 64 bits.
    version: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boundary: Option<&'a str>,
}

#[derive(Serialize)]
struct SessionLine<'a> {
    access_key: &'a str,
    holder: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<&'a str>,
    seconds: u64,
}

impl<'a> ActorLine<'a> {
    fn of(actor: &'a Actor) -> Self {
        let caller = &*actor.caller;
        let (project_id, domain_id) = match &caller.scope {
            Scope::Project(id) => (Some(id.as_str()), None),
            Scope::Domain(id) => (None, Some(id.as_str())),
            Scope::System | Scope::Unscoped => (None, None),
        };
        Self {
            user_id: caller.user_id.as_str(),
            project_id,
            domain_id,
            system: caller.scope == Scope::System,
            roles: caller.roles.iter().map(String::as_str).collect(),
            delegation: caller.delegation.as_ref().map(DelegationLine::of),
            access_key: actor.access_key.as_ref().map(AccessKey::as_str),
            session: actor.session.as_ref().map(AccessKey::as_str),
            source: actor.source.map(|address| address.to_string()),
            request_id: actor.request_id.as_ref().map(RequestId::as_str),
        }
    }
}

impl<'a> DelegationLine<'a> {
    fn of(delegation: &'a Delegation) -> Self {
        let (kind, id) = match delegation {
            Delegation::AccessToken { id } => ("access_token", Some(&**id)),
            Delegation::ApplicationCredential { id, .. } => ("application_credential", Some(&**id)),
            Delegation::Ec2Credential => ("ec2_credential", None),
            Delegation::Other => ("other", None),
            Delegation::Trust { id } => ("trust", Some(&**id)),
        };
        Self { kind, id }
    }
}

impl<'a> TargetLine<'a> {
    fn of(target: &'a AuditTarget) -> Self {
        Self {
            id: target.id.as_ref().map(CredentialId::as_str),
            access_key: target.access_key.as_ref().map(AccessKey::as_str),
            user_id: target.user_id.as_ref().map(UserId::as_str),
            project_id: target.project_id.as_ref().map(ProjectId::as_str),
            kind: target.kind.as_ref().map(Kind::as_str),
        }
    }
}

impl<'a> StateLine<'a> {
    fn of(state: &'a RecordState) -> Self {
        Self {
            version: state.version.get().to_string(),
            status: state.status.as_str(),
            expires_at: state.expires_at.map(format_time),
            boundary: state.boundary.as_deref(),
        }
    }
}

impl<'a> SessionLine<'a> {
    fn of(session: &'a IssuedSession) -> Self {
        Self {
            access_key: session.access_key.as_str(),
            holder: &session.holder,
            role: session.role.as_deref(),
            source_identity: session.source_identity.as_deref(),
            seconds: session.seconds,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Escapes all characters but those of ASCII, so that none moves a terminal's cursor or reverses
/// text.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            // serde_json escapes the control characters below the space itself.
            if c.is_ascii() && c != '\u{7f}' {
                CompactFormatter.write_string_fragment(writer, c.encode_utf8(&mut [0; 4]))?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}
