//! Conditions: operators, their values, and when they hold.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Conditions with
//! multiple context keys or values".

use std::{borrow::Cow, cmp::Ordering, net::IpAddr};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    error::Invalid,
    json::Json,
    keys::{Key, Kind},
    pattern::Pattern,
    variables::{self, Variables},
};
use crate::network::Network;

/// One operator on one key.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) key: Key,
    test: Test,
    is_negated: bool,
    /// Whether the condition holds if the request does not have the key.
    holds_if_absent: bool,
    quantifier: Quantifier,
}

/// What a value is compared with.
#[derive(Clone, Debug)]
enum Test {
    Addresses(Vec<Network>),
    Bool(Vec<bool>),
    /// Comparisons: whether less, equal and greater match.
    Dates([bool; 3], Vec<i128>),
    IgnoreCase(Vec<String>),
    Null(bool),
    Numbers([bool; 3], Vec<f64>),
    Patterns(Vec<Pattern>),
}

/// How a key with several values is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    All,
    Any,
    /// The key has one value.
    None,
}

/// The value of a key in a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Absent,
    Address(IpAddr),
    Bool(bool),
    /// In nanoseconds since 1970.
    Date(i128),
    Number(f64),
    Text(Cow<'a, str>),
    /// Several values.
    Texts(Vec<Cow<'a, str>>),
    /// The request has a value that is not visible, or that the store may ignore.
    Unknown,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Holds,
    Fails,
    Unknown,
}

const EQUAL: [bool; 3] = [false, true, false];
const LESS: [bool; 3] = [true, false, false];
const LESS_OR_EQUAL: [bool; 3] = [true, true, false];
const GREATER: [bool; 3] = [false, false, true];
const GREATER_OR_EQUAL: [bool; 3] = [false, true, true];

impl Condition {
    /// Parses an operator, a key and values. `denies` says whether the statement is a denial.
    pub(super) fn parse(
        operator: &str,
        key: Key,
        kind: Kind,
        values: &[&Json],
        denies: bool,
        variables: Variables<'_>,
    ) -> Result<Self, Invalid> {
        let (quantifier, operator) = match operator.split_once(':') {
            None => (Quantifier::None, operator),
            Some(("ForAnyValue", operator)) => (Quantifier::Any, operator),
            // It holds for a request without the key, so that it would allow too much.
            Some(("ForAllValues", operator)) if denies => (Quantifier::All, operator),
            Some(("ForAllValues", _)) => return Err("ForAllValues is not supported with Allow"),
            Some(_) => return Err("unknown condition operator"),
        };
        let (operator, if_exists) = match operator.strip_suffix("IfExists") {
            Some(operator) => (operator, true),
            None => (operator, false),
        };
        if key.is_multivalued() && quantifier == Quantifier::None && operator != "Null" {
            return Err("this key has several values and needs ForAnyValue or ForAllValues");
        }
        let (test, is_negated) = test(operator, kind, &key, values, variables)?;
        if quantifier != Quantifier::None
            && (is_negated || !matches!(test, Test::Patterns(_) | Test::IgnoreCase(_)))
        {
            return Err("ForAnyValue and ForAllValues need a string operator that is not negated");
        }
        if if_exists && matches!(test, Test::Null(_)) {
            return Err("Null has no form with IfExists");
        }
        let holds_if_absent = is_negated || if_exists || quantifier == Quantifier::All;
        Ok(Self { key, test, is_negated, holds_if_absent, quantifier })
    }

    /// Returns whether the condition holds for a request with this value of the key.
    pub(super) fn holds(&self, value: &Value<'_>) -> Truth {
        let holds = match (&self.test, value) {
            (_, Value::Unknown) => return Truth::Unknown,
            (Test::Null(absent), value) => *absent == (*value == Value::Absent),
            (_, Value::Absent) => self.holds_if_absent,
            (test, Value::Texts(texts)) => match self.quantifier {
                Quantifier::All => texts.iter().all(|text| test.matches_text(text)),
                Quantifier::Any | Quantifier::None => {
                    texts.iter().any(|text| test.matches_text(text))
                }
            },
            (test, value) => test.matches(value) != self.is_negated,
        };
        if holds { Truth::Holds } else { Truth::Fails }
    }

    /// Checks that its patterns are within the limits.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        match &self.test {
            Test::Patterns(patterns) => patterns.iter().try_for_each(Pattern::check),
            _ => Ok(()),
        }
    }
}

impl Test {
    /// Returns whether a single value matches one of the values of the condition.
    fn matches(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Addresses(networks), Value::Address(address)) => {
                networks.iter().any(|network| network.contains(*address))
            }
            (Self::Bool(values), Value::Bool(value)) => values.contains(value),
            (Self::Dates(accepted, values), Value::Date(date)) => {
                values.iter().any(|value| is_accepted(*accepted, date.cmp(value)))
            }
            (Self::Numbers(accepted, values), Value::Number(number)) => {
                values.iter().any(|value| {
                    number.partial_cmp(value).is_some_and(|order| is_accepted(*accepted, order))
                })
            }
            (_, Value::Text(text)) => self.matches_text(text),
            // The type of a key's value is checked when the condition is parsed.
            _ => false,
        }
    }

    fn matches_text(&self, text: &str) -> bool {
        match self {
            Self::IgnoreCase(values) => values.iter().any(|value| equal_ignoring_case(value, text)),
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(&[text])),
            _ => false,
        }
    }
}

fn is_accepted(accepted: [bool; 3], order: Ordering) -> bool {
    match order {
        Ordering::Less => accepted[0],
        Ordering::Equal => accepted[1],
        Ordering::Greater => accepted[2],
    }
}

fn equal_ignoring_case(one: &str, other: &str) -> bool {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    one.eq_ignore_ascii_case(other) || (!other.is_ascii() && lower(one) == lower(other))
}

/// Parses an operator without its quantifier and `IfExists`. Also returns whether it is negated.
fn test(
    operator: &str,
    kind: Kind,
    key: &Key,
    values: &[&Json],
    variables: Variables<'_>,
) -> Result<(Test, bool), Invalid> {
    let wrong_type = "the operator does not fit the type of the key";
    let is_negated = operator.contains("Not");
    let test = match operator {
        "Null" => match bools(values)?[..] {
            [absent] => Test::Null(absent),
            _ => return Err("Null needs one value"),
        },
        "StringEquals" | "StringNotEquals" if kind == Kind::Text => {
            Test::Patterns(patterns(values, variables, variables::literal)?)
        }
        "StringLike" | "StringNotLike" if kind == Kind::Text => {
            Test::Patterns(patterns(values, variables, variables::pattern)?)
        }
        "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" if kind == Kind::Arn => {
            Test::Patterns(patterns(values, variables, variables::pattern)?)
        }
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" if kind == Kind::Text => {
            Test::IgnoreCase(
                texts(values)?
                    .map(|text| variables::text(&text, variables))
                    .collect::<Result<_, _>>()?,
            )
        }
        "Bool" if kind == Kind::Bool => Test::Bool(bools(values)?),
        "IpAddress" | "NotIpAddress" if kind == Kind::Address => {
            let network = |text: String| Network::parse(&text).ok_or("not an address or a network");
            Test::Addresses(texts(values)?.map(network).collect::<Result<_, _>>()?)
        }
        _ => {
            let (prefix, order) = compared(operator).ok_or("unknown condition operator")?;
            match prefix {
                "Date" if kind == Kind::Date => Test::Dates(
                    order,
                    texts(values)?.map(|text| date(&text)).collect::<Result<_, _>>()?,
                ),
                // Seconds since 1970 are a number too.
                "Numeric" if *key == Key::EpochTime => Test::Dates(
                    order,
                    texts(values)?.map(|text| date(&text)).collect::<Result<_, _>>()?,
                ),
                "Numeric" if kind == Kind::Number => Test::Numbers(
                    order,
                    texts(values)?.map(|text| number(&text)).collect::<Result<_, _>>()?,
                ),
                _ => return Err(wrong_type),
            }
        }
    };
    Ok((test, is_negated))
}

/// Returns the type and the accepted order of an operator that compares. A negated one accepts
/// what is equal, and is negated as a whole.
fn compared(operator: &str) -> Option<(&'static str, [bool; 3])> {
    let (prefix, comparison) = match operator.strip_prefix("Numeric") {
        Some(comparison) => ("Numeric", comparison),
        None => match operator.strip_prefix("Date") {
            Some(comparison) => ("Date", comparison),
            None => return is_other_operator(operator).then_some(("", EQUAL)),
        },
    };
    let order = match comparison {
        "Equals" | "NotEquals" => EQUAL,
        "LessThan" => LESS,
        "LessThanEquals" => LESS_OR_EQUAL,
        "GreaterThan" => GREATER,
        "GreaterThanEquals" => GREATER_OR_EQUAL,
        _ => return None,
    };
    Some((prefix, order))
}

/// Returns whether an operator exists, for keys of another type.
fn is_other_operator(operator: &str) -> bool {
    let known = [
        "ArnEquals",
        "ArnLike",
        "ArnNotEquals",
        "ArnNotLike",
        "Bool",
        "IpAddress",
        "NotIpAddress",
        "StringEquals",
        "StringEqualsIgnoreCase",
        "StringLike",
        "StringNotEquals",
        "StringNotEqualsIgnoreCase",
        "StringNotLike",
    ];
    known.contains(&operator)
}

/// Returns values as texts. Numbers and booleans may be written without quotes.
fn texts<'a>(values: &'a [&'a Json]) -> Result<impl Iterator<Item = String> + 'a, Invalid> {
    let text = |value: &&Json| match value {
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(value) => Some(value.to_string()),
        Json::Text(text) => Some(text.clone()),
        _ => None,
    };
    if values.iter().any(|value| text(value).is_none()) {
        return Err("not a string, a number or a boolean");
    }
    Ok(values.iter().filter_map(text))
}

fn patterns(
    values: &[&Json],
    variables: Variables<'_>,
    parse: impl Fn(&str, Variables<'_>) -> Result<Pattern, Invalid>,
) -> Result<Vec<Pattern>, Invalid> {
    texts(values)?.map(|text| parse(&text, variables)).collect()
}

fn bools(values: &[&Json]) -> Result<Vec<bool>, Invalid> {
    let parse = |text: String| match &*text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("not true or false"),
    };
    texts(values)?.map(parse).collect()
}

fn number(text: &str) -> Result<f64, Invalid> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse().ok().filter(|number: &f64| is_plain && number.is_finite()).ok_or("not a number")
}

/// Parses RFC 3339 or seconds since 1970. Returns nanoseconds since 1970.
fn date(text: &str) -> Result<i128, Invalid> {
    let date = match text.parse::<i64>() {
        Ok(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok(),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok(),
    };
    date.map(OffsetDateTime::unix_timestamp_nanos).ok_or("not a date")
}
