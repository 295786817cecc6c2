//! Escapes text for log lines.

use std::{
    error::Error as StdError,
    ffi::OsString,
    fmt::{self, Write as _},
};

use tracing::field::{DisplayValue, display};

/// The cause of an error, for a log line. Errors of other crates may repeat what a client
/// sent, so control and bidirectional characters are escaped.
pub(crate) fn cause<'a>(
    error: &'a (dyn StdError + 'static),
) -> Option<DisplayValue<Escaped<&'a (dyn StdError + 'static)>>> {
    error.source().map(|cause| display(Escaped(cause)))
}

/// Text whose control and bidirectional characters are escaped as in a Rust string.
#[derive(Debug)]
pub(crate) struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                // The text is not in quotes, so these need no escape.
                '"' | '\'' | '\\' => self.0.write_char(c)?,
                _ => write!(self.0, "{}", c.escape_debug())?,
            }
        }
        Ok(())
    }
}

/// Returns the URL for messages: with `***` in the place of a password.
///
/// The text need not be a valid URL.
///
/// ```
/// use tower_credentials::backend::redact_url;
///
/// let url = "postgres://amy:hush@db.example/keys";
/// assert_eq!(redact_url(url), "postgres://amy:***@db.example/keys");
/// ```
#[must_use]
pub fn redact_url(url: &str) -> String {
    const HIDDEN: &str = "***";
    let mut shown = url.to_owned();
    // Up to the last `@`: a password may contain one that should have been encoded.
    if let Some(start) = shown.find("://").map(|at| at + 3)
        && let Some(end) = shown.rfind('@').filter(|end| *end > start)
        && let Some(colon) = shown[start..end].find(':')
    {
        shown.replace_range(start + colon + 1..end, HIDDEN);
    }
    if let Some(start) = shown.find("password=").map(|at| at + "password=".len()) {
        let end = shown[start..].find(['&', ' ']).map_or(shown.len(), |end| start + end);
        shown.replace_range(start..end, HIDDEN);
    }
    shown
}

/// Returns a message about a command line without the passwords in its URLs.
///
/// Parsers of command lines repeat the arguments that they reject. Each argument, or the value
/// after `=` in an option, is replaced by its [redacted](redact_url) form.
#[must_use]
pub fn redact_arguments(message: &str, arguments: impl IntoIterator<Item = OsString>) -> String {
    arguments.into_iter().fold(message.to_owned(), |message, argument| {
        let argument = argument.to_string_lossy();
        let value = argument.split_once('=').filter(|(name, _)| name.starts_with('-'));
        let value = value.map_or(&*argument, |(_, value)| value);
        if value.is_empty() { message } else { message.replace(value, &redact_url(value)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line ends, and characters that move a terminal's cursor or reverse text.
    const HOSTILE: [char; 16] = [
        '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{200e}', '\u{200f}', '\u{61c}',
        '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{feff}',
    ];

    #[test]
    fn control_and_bidirectional_characters_are_escaped_and_others_are_not() {
        assert_eq!(
            Escaped("no key \"a\\b\" of Zo\u{eb}").to_string(),
            "no key \"a\\b\" of Zo\u{eb}"
        );
        let escaped = Escaped(String::from_iter(HOSTILE)).to_string();
        assert!(escaped.bytes().all(|b| b.is_ascii_graphic()), "{escaped:?}");
        assert!(escaped.starts_with("\\n\\r\\u{1b}"), "{escaped}");
        assert!(escaped.contains("\\u{202e}"), "{escaped}");
    }

    #[test]
    fn debug_of_text_escapes_the_same_characters() {
        let text = format!("{:?}", String::from_iter(HOSTILE));
        assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text:?}");
    }
}
