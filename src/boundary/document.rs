//! Policy documents: their grammar, and the statements that they compile to.
//!
//! Source: IAM User Guide, "Grammar of the IAM JSON policy language".

use std::fmt::Write as _;

use super::{
    actions::ActionSet,
    condition::Condition,
    error::{BoundaryError, Invalid},
    json::Json,
    keys::Key,
    pattern::Pattern,
    variables::{self, Variables},
};
use crate::operation::S3Action;

/// The most statements of a document.
const MAX_STATEMENTS: usize = 64;

/// The longest `Sid`, in characters.
const MAX_SID: usize = 64;

/// A statement, compiled.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) denies: bool,
    pub(super) actions: ActionSet,
    /// What the statement is about: a bucket, or a bucket, `/` and a key.
    pub(super) resources: Vec<Pattern>,
    /// Whether the statement is about everything but `resources`.
    pub(super) excludes: bool,
    /// With the actions that have the key.
    pub(super) conditions: Vec<(Condition, ActionSet)>,
}

/// Where in a document a value is.
struct Place<'a>(&'a str);

impl Place<'_> {
    fn error(&self, member: &str, reason: Invalid) -> BoundaryError {
        let mut path = self.0.to_owned();
        if !member.is_empty() {
            let _ = write!(path, ".{member}");
        }
        BoundaryError::new(path, reason)
    }
}

/// Compiles a document.
pub(super) fn compile(
    document: &Json,
    place: &str,
    user_id: &str,
) -> Result<Vec<Statement>, BoundaryError> {
    let here = Place(place);
    let Json::Object(members) = document else { return Err(here.error("", "not an object")) };
    let mut are_supported = false;
    let mut statements = None;
    for (name, value) in members {
        match (&**name, value) {
            ("Version", Json::Text(version)) if version == "2012-10-17" => are_supported = true,
            ("Version", Json::Text(version)) if version == "2008-10-17" => {}
            ("Version", _) => return Err(here.error(name, "not 2012-10-17 or 2008-10-17")),
            ("Id" | "ID", Json::Text(_)) => {}
            ("Statement", value) => statements = Some(value),
            _ => return Err(here.error(name, "unknown member")),
        }
    }
    let statements = match statements {
        Some(Json::List(statements)) => statements.iter().collect(),
        Some(statement @ Json::Object(_)) => vec![statement],
        _ => return Err(here.error("Statement", "not a list of statements")),
    };
    if statements.is_empty() || statements.len() > MAX_STATEMENTS {
        return Err(here.error("Statement", "not between 1 and 64 statements"));
    }
    let variables = Variables { user_id, are_supported };
    let compile = |(index, statement): (usize, &Json)| {
        compile_statement(statement, &format!("{place}.Statement[{index}]"), variables)
    };
    statements.into_iter().enumerate().map(compile).collect()
}

fn compile_statement(
    statement: &Json,
    place: &str,
    variables: Variables<'_>,
) -> Result<Statement, BoundaryError> {
    let here = Place(place);
    let Json::Object(members) = statement else { return Err(here.error("", "not an object")) };
    let member = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, it)| it);
    for (name, value) in members {
        let is_known = match &**name {
            "Sid" => is_sid(value),
            "Action" | "Condition" | "Effect" | "NotAction" | "NotResource" | "Resource" => true,
            _ => false,
        };
        if !is_known {
            return Err(here.error(name, "unknown member, or not a short text"));
        }
    }
    let denies = match member("Effect") {
        Some(Json::Text(effect)) if effect == "Allow" => false,
        Some(Json::Text(effect)) if effect == "Deny" => true,
        _ => return Err(here.error("Effect", "not Allow or Deny")),
    };
    let (name, texts) = one_of(&here, members, ["Action", "NotAction"])?;
    let is_strict = denies || name == "NotAction";
    let actions = actions(&texts, is_strict).map_err(|reason| here.error(name, reason))?;
    let actions = if name == "NotAction" { actions.complement() } else { actions };
    let (name, texts) = one_of(&here, members, ["Resource", "NotResource"])?;
    let parse = |text: &&str| resource(text, variables).transpose();
    let resources: Result<Vec<Pattern>, Invalid> = texts.iter().filter_map(parse).collect();
    let resources = resources.map_err(|reason| here.error(name, reason))?;
    let excludes = name == "NotResource";
    let conditions = match member("Condition") {
        None => Vec::new(),
        Some(value) => conditions(value, place, denies, actions, variables)?,
    };
    Ok(Statement { denies, actions, resources, excludes, conditions })
}

fn is_sid(value: &Json) -> bool {
    let Json::Text(sid) = value else { return false };
    sid.chars().count() <= MAX_SID && !sid.chars().any(char::is_control)
}

/// Returns the one of two members that a statement has, and its texts.
fn one_of<'a>(
    here: &Place<'_>,
    members: &'a [(String, Json)],
    names: [&'static str; 2],
) -> Result<(&'static str, Vec<&'a str>), BoundaryError> {
    let mut found = members.iter().filter_map(|(known, value)| {
        names.into_iter().find(|name| name == known).map(|name| (name, value))
    });
    let (Some((name, value)), None) = (found.next(), found.next()) else {
        return Err(here.error(names[0], "a statement needs it, or its Not form, but not both"));
    };
    let values = match value {
        Json::List(values) => values.iter().collect(),
        value => vec![value],
    };
    let text = |value: &'a Json| match value {
        Json::Text(text) => Some(&**text),
        _ => None,
    };
    let texts: Option<Vec<&str>> = values.into_iter().map(text).collect();
    match texts {
        Some(texts) if !texts.is_empty() => Ok((name, texts)),
        _ => Err(here.error(name, "not a string or a list of strings")),
    }
}

/// Returns the actions that patterns match. Strictly, a pattern of S3's that matches none is an
/// error: a misspelt denial denies nothing.
fn actions(patterns: &[&str], is_strict: bool) -> Result<ActionSet, Invalid> {
    let mut matching = Vec::new();
    for text in patterns {
        let is_named = text.split_once(':').is_some_and(|(service, name)| {
            !service.is_empty() && !name.is_empty() && !name.contains(':')
        });
        if *text != "*" && !is_named {
            return Err("not `*` or SERVICE:ACTION");
        }
        let pattern = limited(Pattern::new(&text.to_ascii_lowercase()))?;
        let of_s3 = |action: S3Action| ["s3:", action.name()].concat().to_ascii_lowercase();
        let before = matching.len();
        matching.extend(S3Action::ALL.iter().filter(|action| pattern.matches(&[&of_s3(**action)])));
        let is_of_s3 = text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("s3:"));
        if is_strict && is_of_s3 && matching.len() == before {
            return Err("not the name of an S3 action");
        }
    }
    Ok(ActionSet::of(&matching))
}

/// Returns the pattern of a resource of S3: of a bucket, or of a bucket, `/` and a key. `None` for
/// resources that are never S3's.
fn resource(text: &str, variables: Variables<'_>) -> Result<Option<Pattern>, Invalid> {
    if text == "*" {
        return Ok(Some(Pattern::new(text)));
    }
    let mut parts = text.splitn(6, ':');
    let mut part = || parts.next().ok_or("not `*` or an ARN of six parts");
    let (arn, partition, service, region, account) = (part()?, part()?, part()?, part()?, part()?);
    let name = part()?;
    if arn != "arn" {
        return Err("not `*` or an ARN");
    }
    if [partition, service, region, account].iter().any(|part| part.contains("${")) {
        return Err("a variable before the fifth colon of an ARN");
    }
    let matches = |pattern: &str, text: &str| Pattern::new(pattern).matches(&[text]);
    let of_s3 = ["aws", "aws-cn", "aws-us-gov"].iter().any(|name| matches(partition, name))
        && matches(service, "s3")
        && matches(region, "")
        && matches(account, "");
    let pattern = limited(variables::pattern(name, variables)?)?;
    Ok(of_s3.then_some(pattern))
}

fn limited(pattern: Pattern) -> Result<Pattern, Invalid> {
    pattern.check().map(|()| pattern)
}

fn conditions(
    value: &Json,
    place: &str,
    denies: bool,
    actions: ActionSet,
    variables: Variables<'_>,
) -> Result<Vec<(Condition, ActionSet)>, BoundaryError> {
    let here = format!("{place}.Condition");
    let Json::Object(operators) = value else {
        return Err(BoundaryError::new(here, "not an object"));
    };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let here = format!("{here}.{operator}");
        let Json::Object(keys) = keys else {
            return Err(BoundaryError::new(here, "not an object"));
        };
        for (name, values) in keys {
            let error = |reason| BoundaryError::new(format!("{here}.{name}"), reason);
            let (key, kind, having) = Key::parse(name).ok_or(error("unknown condition key"))?;
            let having = ActionSet::of(having);
            if !having.intersects(actions) {
                return Err(error("no action of the statement has this key"));
            }
            let values = match values {
                Json::List(values) => values.iter().collect(),
                value => vec![value],
            };
            if values.is_empty() {
                return Err(error("an empty list"));
            }
            let condition = Condition::parse(operator, key, kind, &values, denies, variables);
            let condition = condition.map_err(error)?;
            condition.check().map_err(error)?;
            conditions.push((condition, having));
        }
    }
    Ok(conditions)
}
