//! The text form of a sealed secret.
//!
//! `tower-sealed:1:<key id>:<body>`, where the body is nonce, ciphertext and tag in base64url
//! without padding. It is on disk: later formats get another number, and this one stays
//! readable.

use base64_simd::URL_SAFE_NO_PAD;

use super::error::Unopened;
use super::ring::is_key_id;

pub(super) const NONCE: usize = 12;
pub(super) const TAG: usize = 16;

const NAME: &str = "tower-sealed:";
const FORMAT: &str = "1";

/// A parsed sealed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SealedText<'a> {
    pub(super) key_id: &'a str,
    body: &'a str,
}

impl<'a> SealedText<'a> {
    /// Returns whether a text claims to be sealed.
    pub(super) fn is_claimed_by(text: &str) -> bool {
        text.starts_with(NAME)
    }

    pub(super) fn parse(text: &'a str) -> Result<Self, Unopened> {
        let rest = text.strip_prefix(NAME).ok_or(Unopened::Plain)?;
        let (format, rest) = rest.split_once(':').ok_or(Unopened::Malformed)?;
        if format != FORMAT {
            return Err(Unopened::Format);
        }
        let (key_id, body) = rest.split_once(':').ok_or(Unopened::Malformed)?;
        if is_key_id(key_id) { Ok(Self { key_id, body }) } else { Err(Unopened::Malformed) }
    }

    /// Nonce, ciphertext and tag.
    pub(super) fn decode(&self) -> Result<Vec<u8>, Unopened> {
        let bytes = URL_SAFE_NO_PAD.decode_to_vec(self.body);
        bytes.ok().filter(|bytes| bytes.len() >= NONCE + TAG).ok_or(Unopened::Malformed)
    }
}

/// Returns the text for bytes that were sealed with this key.
pub(super) fn write(key_id: &str, sealed: &[u8]) -> String {
    let length = NAME.len() + FORMAT.len() + 2 + key_id.len();
    let mut text = String::with_capacity(length + URL_SAFE_NO_PAD.encoded_length(sealed.len()));
    for part in [NAME, FORMAT, ":", key_id, ":"] {
        text.push_str(part);
    }
    URL_SAFE_NO_PAD.encode_append(sealed, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sealed_text_has_exactly_one_spelling() {
        let body = "A".repeat(40);
        let good = format!("tower-sealed:1:k:{body}");
        assert_eq!(SealedText::parse(&good).unwrap().decode().unwrap(), [0; 30]);
        for (bad, trouble) in [
            (String::new(), Unopened::Plain),
            (body.clone(), Unopened::Plain),
            (format!("Tower-Sealed:1:k:{body}"), Unopened::Plain),
            (format!(" tower-sealed:1:k:{body}"), Unopened::Plain),
            ("tower-sealed:".into(), Unopened::Malformed),
            ("tower-sealed:1".into(), Unopened::Malformed),
            ("tower-sealed:1:k".into(), Unopened::Malformed),
            (format!("tower-sealed:1::{body}"), Unopened::Malformed),
            (format!("tower-sealed:1:k k:{body}"), Unopened::Malformed),
            (format!("tower-sealed:2:k:{body}"), Unopened::Format),
            (format!("tower-sealed:01:k:{body}"), Unopened::Format),
        ] {
            assert_eq!(SealedText::parse(&bad), Err(trouble), "{bad:?}");
        }
        for body in ["", "A", &body[..37], &format!("{body}="), &format!("{body}\n"), "+AAA"] {
            let text = format!("tower-sealed:1:k:{body}");
            let parsed = SealedText::parse(&text).unwrap();
            assert_eq!(parsed.decode(), Err(Unopened::Malformed), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn written_text_is_parsed_and_altered_text_differs(
            key_id in "[A-Za-z0-9_-]{1,32}",
            sealed in prop::collection::vec(any::<u8>(), 28..200),
            at in any::<prop::sample::Index>(),
            with in "[ -~]",
        ) {
            let text = write(&key_id, &sealed);
            let parsed = SealedText::parse(&text).unwrap();
            prop_assert_eq!(parsed.key_id, &key_id);
            prop_assert_eq!(parsed.decode().unwrap(), sealed.clone());
            let at = at.index(text.len());
            let mut other = text.clone();
            other.replace_range(at..=at, &with);
            if other != text {
                let read = SealedText::parse(&other).and_then(|it| Ok((it.key_id, it.decode()?)));
                prop_assert_ne!(read, Ok((&*key_id, sealed)));
            }
        }

        #[test]
        fn every_text_is_parsed_or_rejected(text in "(tower-sealed:)?(1:)?[ -~]{0,60}") {
            if let Ok(parsed) = SealedText::parse(&text)
                && let Ok(bytes) = parsed.decode()
            {
                prop_assert_eq!(write(parsed.key_id, &bytes), text);
            }
        }
    }
}
