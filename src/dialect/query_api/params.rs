//! The parameters of a request.

use percent_encoding::percent_decode;

use super::error::QueryError;

/// The most parameters of a request. One with 50 tags has 111.
const MAX_PARAMS: usize = 256;

/// The parameters that take rights from what is granted, and whether they are lists. Ignoring a
/// misspelt one would grant too much.
const NARROWING: [(&str, bool); 8] = [
    ("DurationSeconds", false),
    ("Policy", false),
    ("PolicyArns", true),
    ("ProvidedContexts", true),
    ("ProviderId", false),
    ("RoleArn", false),
    ("SerialNumber", false),
    ("TokenCode", false),
];

/// The parameters of a request, each once.
pub(crate) struct Params(Vec<(String, String)>);

opaque_debug!(Params);

impl Params {
    /// Parses parameters as browsers write forms: a `+` is a space.
    ///
    /// # Errors
    ///
    /// `ValidationError` if there are too many, a name occurs twice, or a text is not UTF-8.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, QueryError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
            let (name, value) = match part.iter().position(|byte| *byte == b'=') {
                Some(at) => (&part[..at], &part[at + 1..]),
                None => (part, &[][..]),
            };
            let (name, value) = (decode(name)?, decode(value)?);
            if pairs.len() == MAX_PARAMS {
                return Err(QueryError::invalid("The request has too many parameters."));
            }
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(QueryError::invalid("A parameter is there twice."));
            }
            let start = name.split('.').next().unwrap_or_default();
            let is_misspelt = |(known, is_list): &(&str, bool)| {
                let is_same = start == *known && (*is_list || name == *known);
                start.eq_ignore_ascii_case(known) && !is_same
            };
            if NARROWING.iter().any(is_misspelt) {
                return Err(QueryError::invalid("The name of a parameter has another form."));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Returns the action, for an API of this version.
    ///
    /// # Errors
    ///
    /// `MissingAction` without one, `InvalidAction` for another version.
    pub(in crate::dialect) fn action(&self, version: &str) -> Result<&str, QueryError> {
        let action = self.get("Action").filter(|action| !action.is_empty());
        let action = action.ok_or_else(QueryError::no_action_given)?;
        if self.get("Version") != Some(version) {
            return Err(QueryError::no_action(action));
        }
        Ok(action)
    }

    /// Returns whether the action is this one, whatever the version.
    pub(crate) fn is_action(&self, action: &str) -> bool {
        self.get("Action") == Some(action)
    }

    pub(crate) fn has_action(&self) -> bool {
        self.get("Action").is_some_and(|action| !action.is_empty())
    }

    pub(in crate::dialect) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether there is a parameter of this name, or a member of such a list.
    pub(in crate::dialect) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| {
            let rest = known.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Returns a text of this form, if the parameter is there.
    ///
    /// # Errors
    ///
    /// `ValidationError` if it has another form.
    pub(in crate::dialect) fn text(
        &self,
        name: &'static str,
        form: &Form,
    ) -> Result<Option<String>, QueryError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        form.check(name, value)?;
        Ok(Some(value.to_owned()))
    }

    /// Returns a number of seconds or items, if the parameter is there.
    ///
    /// # Errors
    ///
    /// `ValidationError` if it is not a decimal number.
    pub(in crate::dialect) fn number(&self, name: &'static str) -> Result<Option<u64>, QueryError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse().ok().filter(|_| is_number && value.len() <= 10) {
            Some(number) => Ok(Some(number)),
            None => Err(violation(name, "Member must be a number of at most ten digits")),
        }
    }

    /// Returns the members of a list, `name.member.1.field` and so on, each as its fields. The
    /// name of the field of a plain member is empty.
    ///
    /// # Errors
    ///
    /// `ValidationError` if the list has a gap, more than `longest` members, or another form.
    pub(in crate::dialect) fn list(
        &self,
        name: &'static str,
        longest: usize,
    ) -> Result<Vec<Vec<(&str, &str)>>, QueryError> {
        let mut members: Vec<Vec<(&str, &str)>> = Vec::new();
        let malformed = || violation(name, "Member must be a list without gaps, from 1");
        for (known, value) in &self.0 {
            let Some(rest) = known.strip_prefix(name) else { continue };
            if !rest.is_empty() && !rest.starts_with('.') {
                continue;
            }
            // An empty list.
            if rest.is_empty() && value.is_empty() {
                continue;
            }
            let rest = rest.strip_prefix(".member.").ok_or_else(malformed)?;
            let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
            let is_number = !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && !number.starts_with('0');
            let at: usize = number.parse().ok().filter(|_| is_number).ok_or_else(malformed)?;
            if at > longest {
                return Err(violation(name, "Member has too many members"));
            }
            if members.len() < at {
                members.resize_with(at, Vec::new);
            }
            members[at - 1].push((field, value));
        }
        if members.iter().any(Vec::is_empty) { Err(malformed()) } else { Ok(members) }
    }
}

/// The form of a text.
pub(in crate::dialect) struct Form {
    pub(in crate::dialect) length: std::ops::RangeInclusive<usize>,
    /// The characters beside letters, digits and `_`. `None` allows every character.
    pub(in crate::dialect) others: Option<&'static str>,
}

impl Form {
    pub(in crate::dialect) fn check(
        &self,
        name: &'static str,
        value: &str,
    ) -> Result<(), QueryError> {
        let length = value.chars().count();
        if length < *self.length.start() {
            let least = self.length.start();
            return Err(violation(
                name,
                &format!("Member must have length greater than or equal to {least}"),
            ));
        }
        if length > *self.length.end() {
            let most = self.length.end();
            return Err(violation(
                name,
                &format!("Member must have length less than or equal to {most}"),
            ));
        }
        let fits = |others: &str| {
            value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || others.contains(c))
        };
        if !self.others.is_none_or(fits) {
            return Err(violation(name, "Member must satisfy regular expression pattern"));
        }
        Ok(())
    }
}

/// The error of a parameter that breaks a rule. It does not repeat the value.
pub(in crate::dialect) fn violation(name: &'static str, constraint: &str) -> QueryError {
    let mut member = name.to_owned();
    member[..1].make_ascii_lowercase();
    QueryError::invalid(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: \
         {constraint}"
    ))
}

fn decode(text: &[u8]) -> Result<String, QueryError> {
    let not_utf8 = || QueryError::invalid("A parameter is not UTF-8.");
    // Most texts are like this.
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(text).map(str::to_owned).map_err(|_| not_utf8());
    }
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let mut rest = spaced.as_slice();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let escape = rest.get(at + 1..at + 3).filter(|it| it.iter().all(u8::is_ascii_hexdigit));
        if escape.is_none() {
            return Err(QueryError::invalid("A parameter has an escape that is not valid."));
        }
        rest = &rest[at + 3..];
    }
    let text = percent_decode(&spaced).decode_utf8().map(std::borrow::Cow::into_owned);
    text.map_err(|_| not_utf8())
}
