//! Patterns of actions, resources and conditions: `*` for any text, `?` for one character.

/// A pattern. Matches in time linear in pattern times text, without allocating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What the pattern begins with, up to its first wildcard.
    start: Box<str>,
    /// The first wildcard and what follows it.
    tokens: Box<[Token]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Any text, also an empty one.
    Any,
    Char(char),
    /// One character.
    One,
}

impl Pattern {
    /// A pattern without wildcards.
    pub(super) fn literal(text: &str) -> Self {
        Self { start: text.into(), tokens: Box::default() }
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
        Self { start: start.into(), tokens: tokens.into() }
    }

    /// Appends another pattern.
    pub(super) fn join(self, other: &Self) -> Self {
        if self.tokens.is_empty() {
            let start = [&*self.start, &*other.start].concat().into();
            return Self { start, tokens: other.tokens.clone() };
        }
        let mut tokens = self.tokens.into_vec();
        tokens.extend(other.start.chars().map(Token::Char));
        for token in &other.tokens {
            if *token != Token::Any || tokens.last() != Some(&Token::Any) {
                tokens.push(*token);
            }
        }
        Self { start: self.start, tokens: tokens.into() }
    }

    /// Returns the number of `*`.
    pub(super) fn wildcards(&self) -> usize {
        self.tokens.iter().filter(|token| **token == Token::Any).count()
    }

    /// Returns whether the pattern matches a text that consists of these parts.
    pub(super) fn matches(&self, parts: &[&str]) -> bool {
        let Some((part, parts)) = self.after_start(parts) else { return false };
        if *self.tokens == [Token::Any] {
            return true;
        }
        let mut text = part.chars().chain(parts.iter().flat_map(|part| part.chars()));
        let mut at = 0;
        // Where to continue if what follows the last `*` does not match: the token after it,
        // and the text after one more character.
        let mut retry: Option<(usize, _)> = None;
        loop {
            match self.tokens.get(at) {
                Some(Token::Any) => {
                    at += 1;
                    if at == self.tokens.len() {
                        return true;
                    }
                    retry = Some((at, text.clone()));
                    continue;
                }
                Some(token) => match (text.next(), token) {
                    (Some(_), Token::One) => {
                        at += 1;
                        continue;
                    }
                    (Some(found), Token::Char(wanted)) if found == *wanted => {
                        at += 1;
                        continue;
                    }
                    (Some(_), _) => {}
                    // The rest of the pattern needs more text than there is.
                    (None, _) => return false,
                },
                None if text.clone().next().is_none() => return true,
                None => {}
            }
            let Some((after, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            at = *after;
            text = from.clone();
        }
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
