//! Policy variables: `${aws:username}`, `${aws:userid}`, and `${*}`, `${?}`, `${$}`.
//!
//! Source: IAM User Guide, "IAM policy elements: Variables and tags".

use super::{error::Invalid, pattern::Pattern};

/// What variables stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variables<'a> {
    /// The user who owns the key.
    pub(super) user_id: &'a str,
    /// Whether the version of the document has variables.
    pub(super) are_supported: bool,
}

/// A part of a text with variables.
enum Part<'a> {
    /// Text in which `*` and `?` are wildcards.
    Plain(&'a str),
    /// Text without wildcards.
    Value(&'a str),
}

/// Parses a text in which `*` and `?` are wildcards. What a variable brings in has none.
pub(super) fn pattern(text: &str, variables: Variables<'_>) -> Result<Pattern, Invalid> {
    let join = |pattern: Pattern, part: Part<'_>| match part {
        Part::Plain(text) => pattern.join(&Pattern::new(text)),
        Part::Value(text) => pattern.join(&Pattern::literal(text)),
    };
    Ok(parts(text, variables)?.into_iter().fold(Pattern::literal(""), join))
}

/// Parses a text without wildcards.
pub(super) fn literal(text: &str, variables: Variables<'_>) -> Result<Pattern, Invalid> {
    self::text(text, variables).map(|text| Pattern::literal(&text))
}

/// Replaces the variables of a text.
pub(super) fn text(text: &str, variables: Variables<'_>) -> Result<String, Invalid> {
    let parts = parts(text, variables)?.into_iter();
    Ok(parts
        .map(|part| match part {
            Part::Plain(text) | Part::Value(text) => text,
        })
        .collect())
}

fn parts<'a>(text: &'a str, variables: Variables<'a>) -> Result<Vec<Part<'a>>, Invalid> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, variable)) = rest.split_once("${") {
        if !variables.are_supported {
            return Err("variables need \"Version\": \"2012-10-17\"");
        }
        let (name, after) = variable.split_once('}').ok_or("a variable has no end")?;
        parts.push(Part::Plain(before));
        parts.push(Part::Value(value(name, variables)?));
        rest = after;
    }
    parts.push(Part::Plain(rest));
    Ok(parts)
}

/// Returns what a variable stands for. Its default, `${NAME, 'TEXT'}`, does not count, since both
/// variables always have a value.
fn value<'a>(name: &'a str, variables: Variables<'a>) -> Result<&'a str, Invalid> {
    if matches!(name, "*" | "?" | "$") {
        return Ok(name);
    }
    let name = match name.split_once(',') {
        None => name,
        Some((name, default)) => {
            let default = default.trim();
            let is_quoted =
                default.len() >= 2 && default.starts_with('\'') && default.ends_with('\'');
            if !is_quoted {
                return Err("the default of a variable is not quoted");
            }
            name
        }
    };
    if name.eq_ignore_ascii_case("aws:username") || name.eq_ignore_ascii_case("aws:userid") {
        return Ok(variables.user_id);
    }
    Err("unknown variable")
}
