//! Texts as the engine takes them: it has no NUL.
//!
//! NUL becomes two characters that begin with U+0001, and so does that one. No two
//! texts become the same, and their order stays; all others are as they were.

use std::borrow::Cow;

const NUL: &str = "\u{1}\u{1}";
const ONE: &str = "\u{1}\u{2}";

/// A text for a column.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte <= 1) {
        return Cow::Borrowed(text);
    }
    let mut stored = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => stored.push_str(NUL),
            '\u{1}' => stored.push_str(ONE),
            other => stored.push(other),
        }
    }
    Cow::Owned(stored)
}

/// The text of a column; `None` if it is none that [`stored`] makes.
pub(super) fn original(stored: &str) -> Option<Cow<'_, str>> {
    if !stored.contains('\u{1}') {
        return Some(Cow::Borrowed(stored));
    }
    let mut original = String::with_capacity(stored.len());
    let mut characters = stored.chars();
    while let Some(character) = characters.next() {
        original.push(match character {
            '\u{1}' => match characters.next()? {
                '\u{1}' => '\0',
                '\u{2}' => '\u{1}',
                _ => return None,
            },
            other => other,
        });
    }
    Some(Cow::Owned(original))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_keeps_its_place() {
        let texts = [
            "",
            "\0",
            "\0\0",
            "\0\u{1}",
            "\0a",
            "\u{1}",
            "\u{1}\0",
            "\u{1}\u{1}",
            "\u{1}\u{2}",
            "\u{1}b",
            "\u{2}",
            "a",
            "a\0",
            "a\0b",
            "a\u{1}",
            "ab",
            "\u{e4}",
            "\u{1F511}",
        ];
        for pair in texts.windows(2) {
            assert!(pair[0] < pair[1] && stored(pair[0]) < stored(pair[1]), "{pair:?}");
        }
        for text in texts {
            assert!(!stored(text).contains('\0'), "{text:?}");
            assert_eq!(original(&stored(text)).as_deref(), Some(text));
        }
        assert_eq!(original("\u{1}"), None);
        assert_eq!(original("\u{1}x"), None);
    }
}
