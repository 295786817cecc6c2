//! Patterns of actions, resources and conditions: `*` for any text, `?` for one character.

use super::{
    error::Invalid,
    search::{Search, Token},
};

/// The most `*` in a pattern.
const MAX_WILDCARDS: usize = 16;

/// A pattern. Matches in time linear in the text, without allocating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What the pattern begins with, up to its first wildcard.
    start: Box<str>,
    /// The first wildcard and what follows it.
    tokens: Box<[Token]>,
    /// What stands between two `*`, in its order.
    searches: Box<[Search]>,
}

impl Pattern {
    /// A pattern without wildcards.
    pub(super) fn literal(text: &str) -> Self {
        Self::of(text.into(), Vec::new())
    }

    /// A pattern in which `*` and `?` are wildcards.
    pub(super) fn new(text: &str) -> Self {
        let (start, rest) = text.split_at(text.find(['*', '?']).unwrap_or(text.len()));
        let mut tokens = Vec::new();
        for character in rest.chars() {
            match character {
                '*' if tokens.last() == Some(&Token::Any) => {}
                '*' => tokens.push(Token::Any),
                '?' => tokens.push(Token::One),
                character => tokens.push(Token::Char(character)),
            }
        }
        Self::of(start.into(), tokens)
    }

    fn of(start: Box<str>, tokens: Vec<Token>) -> Self {
        let mut runs: Vec<_> = tokens.split(|token| *token == Token::Any).skip(1).collect();
        // The last one stands at the end of the text.
        runs.pop();
        let searches = runs.into_iter().map(Search::new).collect();
        Self { start, tokens: tokens.into(), searches }
    }

    /// Appends another pattern.
    pub(super) fn join(self, other: &Self) -> Self {
        if self.tokens.is_empty() {
            let start = [&*self.start, &*other.start].concat().into();
            return Self::of(start, other.tokens.to_vec());
        }
        let mut tokens = self.tokens.into_vec();
        tokens.extend(other.start.chars().map(Token::Char));
        for token in &other.tokens {
            if *token != Token::Any || tokens.last() != Some(&Token::Any) {
                tokens.push(*token);
            }
        }
        Self::of(self.start, tokens)
    }

    /// Checks that the pattern is within the limits.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if self.tokens.iter().filter(|token| **token == Token::Any).count() > MAX_WILDCARDS {
            return Err("a pattern has more than 16 `*`");
        }
        if !self.searches.iter().all(Search::is_linear) {
            return Err("a pattern has more than 64 characters with a `?` between two `*`");
        }
        Ok(())
    }

    /// Returns whether the pattern matches a text that consists of these parts.
    pub(super) fn matches(&self, parts: &[&str]) -> bool {
        let Some((part, parts)) = self.after_start(parts) else { return false };
        if *self.tokens == [Token::Any] {
            return true;
        }
        let mut text = part.chars().chain(parts.iter().flat_map(|part| part.chars()));
        let Some(first) = self.tokens.iter().position(|token| *token == Token::Any) else {
            return match_all(&self.tokens, &mut text) && text.next().is_none();
        };
        if !match_all(&self.tokens[..first], &mut text)
            || !self.searches.iter().all(|search| search.find(&mut text))
        {
            return false;
        }
        let last = self.tokens.rsplit(|token| *token == Token::Any).next().unwrap_or_default();
        if last.is_empty() {
            return true;
        }
        let left = text.clone().count();
        left >= last.len() && match_all(last, &mut text.skip(left - last.len()))
    }

    /// Returns whether the pattern matches every text with this beginning.
    pub(super) fn covers(&self, parts: &[&str]) -> bool {
        // `a*b*` covers `a..b` and all that follows: the beginning must match by itself.
        self.tokens.last() == Some(&Token::Any) && self.matches(parts)
    }

    /// Returns whether the pattern could match a text with this beginning.
    pub(super) fn overlaps(&self, parts: &[&str]) -> bool {
        let start = self.start.chars().map(Token::Char);
        let mut tokens = start.chain(self.tokens.iter().copied());
        for character in parts.iter().flat_map(|part| part.chars()) {
            match tokens.next() {
                Some(Token::Any) => return true,
                Some(Token::One) => {}
                Some(Token::Char(wanted)) if wanted == character => {}
                Some(Token::Char(_)) | None => return false,
            }
        }
        true
    }

    /// Returns the text after the beginning of the pattern: the rest of a part, and the parts after
    /// it. `None` if the text begins otherwise.
    fn after_start<'t, 'p>(&self, parts: &'p [&'t str]) -> Option<(&'t str, &'p [&'t str])> {
        let mut start = &*self.start;
        let mut parts = parts.iter();
        loop {
            let Some(part) = parts.next() else {
                return start.is_empty().then_some(("", &[][..]));
            };
            if let Some(rest) = part.strip_prefix(start) {
                return Some((rest, parts.as_slice()));
            }
            start = start.strip_prefix(*part)?;
        }
    }
}

/// Returns whether a text begins with what these tokens stand for. Takes that from the text.
fn match_all(tokens: &[Token], text: &mut impl Iterator<Item = char>) -> bool {
    tokens.iter().all(|token| text.next().is_some_and(|found| token.matches(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_any_text_and_one_character() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "a", true),
            ("a*", "b", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("?*", "", false),
            ("**a", "a", true),
            ("*ab", "aab", true),
            ("*aab*b", "aaabb", true),
            ("*a?b*c?", "aaabbacx", true),
            ("*a?b*c?", "aaabbacxy", false),
            ("*abab*", "aabaabab", true),
            ("*a*a", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(&[text]), expected, "{pattern} {text}");
            let (one, other) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
            assert_eq!(Pattern::new(pattern).matches(&[one, "", other]), expected);
        }
        assert!(Pattern::literal("a*").matches(&["a*"]));
        assert!(!Pattern::literal("a*").matches(&["ab"]));
    }

    #[test]
    fn pattern_covers_a_beginning_if_it_matches_whatever_follows() {
        for (pattern, start, covers, overlaps) in [
            ("data/*", "data/", true, true),
            ("data*", "data/", true, true),
            ("*", "data/", true, true),
            ("data/team/*", "data/", false, true),
            ("data/a", "data/", false, true),
            ("da*/x", "data/", false, true),
            ("other/*", "data/", false, false),
            ("dat", "data/", false, false),
        ] {
            let pattern = Pattern::new(pattern);
            assert_eq!(pattern.covers(&[start]), covers, "{pattern:?}");
            assert_eq!(pattern.overlaps(&[start]), overlaps, "{pattern:?}");
        }
    }
}
