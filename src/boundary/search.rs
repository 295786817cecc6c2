//! Searches a text for what stands between two `*` of a pattern.

/// The longest run with a `?` that is searched in linear time, in characters.
const MAX_MASKED: usize = 64;

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Any text, also an empty one.
    Any,
    Char(char),
    /// One character.
    One,
}

impl Token {
    /// Returns whether the token stands for this character alone.
    pub(super) fn matches(self, character: char) -> bool {
        match self {
            Self::Any => false,
            Self::Char(wanted) => wanted == character,
            Self::One => true,
        }
    }
}

/// Finds a run of tokens, of which none is [`Token::Any`], in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// Without `?`: the characters, and for each how many of the first ones are repeated before the
    /// next one (Knuth, Morris and Pratt).
    Literal(Box<[(char, usize)]>),
    /// With `?`: for each character where it may stand, and where every character may (shift-and).
    Masks { masks: Box<[(char, u64)]>, any: u64, length: usize },
    /// With `?`, and long.
    Slow(Box<[Token]>),
}

impl Search {
    pub(super) fn new(run: &[Token]) -> Self {
        let literal = run.iter().map(|token| match token {
            Token::Char(character) => Some(*character),
            Token::Any | Token::One => None,
        });
        if let Some(characters) = literal.collect::<Option<Vec<char>>>() {
            return Self::Literal(repeats(&characters));
        }
        if run.len() > MAX_MASKED {
            return Self::Slow(run.into());
        }
        let (mut masks, mut any): (Vec<(char, u64)>, u64) = (Vec::new(), 0);
        for (at, token) in run.iter().enumerate() {
            let bit = 1 << at;
            match token {
                Token::Char(character) => {
                    match masks.iter_mut().find(|(known, _)| known == character) {
                        Some((_, mask)) => *mask |= bit,
                        None => masks.push((*character, bit)),
                    }
                }
                Token::Any | Token::One => any |= bit,
            }
        }
        masks.sort_unstable();
        Self::Masks { masks: masks.into(), any, length: run.len() }
    }

    /// Returns whether the time of a search is linear in the text.
    pub(super) fn is_linear(&self) -> bool {
        !matches!(self, Self::Slow(_))
    }

    /// Finds the first occurrence, and takes the text up to its end. Returns whether there is one.
    pub(super) fn find(&self, text: &mut (impl Iterator<Item = char> + Clone)) -> bool {
        match self {
            Self::Literal(characters) => find_literal(characters, text),
            Self::Masks { masks, any, length } => {
                let end = 1 << (length - 1);
                let mut state: u64 = 0;
                text.any(|found| {
                    let at = masks.binary_search_by_key(&found, |(known, _)| *known);
                    let mask = at.map_or(0, |at| masks[at].1) | any;
                    state = (state << 1 | 1) & mask;
                    state & end != 0
                })
            }
            Self::Slow(run) => loop {
                let mut from = text.clone();
                if run.iter().all(|token| from.next().is_some_and(|found| token.matches(found))) {
                    *text = from;
                    return true;
                }
                if text.next().is_none() {
                    return false;
                }
            },
        }
    }
}

fn find_literal(characters: &[(char, usize)], text: &mut impl Iterator<Item = char>) -> bool {
    let mut matched = 0;
    if characters.is_empty() {
        return true;
    }
    text.any(|found| {
        while matched > 0 && characters[matched].0 != found {
            matched = characters[matched - 1].1;
        }
        matched += usize::from(characters[matched].0 == found);
        matched == characters.len()
    })
}

/// Returns the characters, each with the length of the longest beginning that also ends here.
fn repeats(characters: &[char]) -> Box<[(char, usize)]> {
    let mut found: Vec<(char, usize)> = Vec::with_capacity(characters.len());
    let mut matched = 0;
    for (at, character) in characters.iter().enumerate() {
        if at > 0 {
            while matched > 0 && characters[matched] != *character {
                matched = found[matched - 1].1;
            }
            matched += usize::from(characters[matched] == *character);
        }
        found.push((*character, matched));
    }
    found.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(text: &str) -> Vec<Token> {
        let token = |it| if it == '?' { Token::One } else { Token::Char(it) };
        text.chars().map(token).collect()
    }

    proptest! {
        #[test]
        fn every_search_finds_the_first_occurrence(wanted in "[ab?]{1,8}", text in "[abc]{0,24}") {
            let run = run(&wanted);
            let left = |search: &Search| {
                let mut text = text.chars();
                search.find(&mut text).then_some(text.as_str().len())
            };
            let slow = left(&Search::Slow(run.clone().into()));
            prop_assert_eq!(left(&Search::new(&run)), slow);
        }
    }

    #[test]
    fn search_looks_at_each_character_a_bounded_number_of_times() {
        let wanted = format!("{}b", "a".repeat(440));
        let mut taken = 0;
        let mut text = std::iter::repeat_n('a', 1_024).inspect(|_| taken += 1);
        let Search::Literal(characters) = Search::new(&run(&wanted)) else { panic!("not literal") };
        assert!(!find_literal(&characters, &mut text));
        assert_eq!(taken, 1_024);
        let long = format!("?{}", "a".repeat(64));
        assert!(
            Search::new(&run(&long[..64])).is_linear() && !Search::new(&run(&long)).is_linear()
        );
    }
}
