//! Searches in bytes, in blocks without early exits: several times as fast as byte by byte.

const BLOCK: usize = 16;

/// Returns whether one of the bytes meets the condition. The compiler vectorizes the loops.
pub(super) fn any(bytes: &[u8], meets: impl Fn(u8) -> bool) -> bool {
    let one = |any: bool, byte: &u8| any | meets(*byte);
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let found = blocks.iter().fold(false, |any, block| block.iter().fold(any, one));
    // The last block overlaps the one before it.
    match bytes.last_chunk::<BLOCK>() {
        Some(last) => last.iter().fold(found, one),
        None => rest.iter().fold(found, one),
    }
}

/// Splits bytes at the first occurrence of an ASCII character.
pub(super) fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    let at = loop {
        let Some((word, after)) = rest.split_first_chunk() else {
            break rest.iter().position(|byte| *byte == at)?;
        };
        match matches(*word, at).trailing_zeros() {
            64 => rest = after,
            zeros => break zeros as usize / 8,
        }
    } + bytes.len()
        - rest.len();
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// Splits a text at the last occurrence of an ASCII character.
pub(super) fn rsplit(text: &str, at: u8) -> Option<(&str, &str)> {
    let mut rest = text.as_bytes();
    let at = loop {
        let Some((before, word)) = rest.split_last_chunk() else {
            break rest.iter().rposition(|byte| *byte == at)?;
        };
        match matches(*word, at).leading_zeros() {
            64 => rest = before,
            zeros => break rest.len() - 1 - zeros as usize / 8,
        }
    };
    Some((&text[..at], &text[at + 1..]))
}

/// Sets the highest bit of each byte that is this character. The first byte is the lowest.
fn matches(bytes: [u8; 8], character: u8) -> u64 {
    const REST: u64 = u64::from_ne_bytes([0x7f; 8]);
    let other = u64::from_le_bytes(bytes) ^ u64::from_ne_bytes([character; 8]);
    // No carry crosses a byte, so that only equal bytes are found.
    !(((other & REST) + REST) | other | REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_is_found_at_every_place() {
        for length in 0..70 {
            let plain = "a".repeat(length);
            assert!(!any(plain.as_bytes(), |byte| byte == b'/'), "{length}");
            assert_eq!(split(plain.as_bytes(), b'/'), None);
            assert_eq!(rsplit(&plain, b'/'), None);
            for (first, last) in (0..length).flat_map(|at| [(at, at), (0, at), (at, length - 1)]) {
                let mut text = plain.clone();
                text.replace_range(first..=first, "/");
                text.replace_range(last..=last, "/");
                assert!(any(text.as_bytes(), |byte| byte == b'/'), "{text}");
                let (before, after) = text.split_once('/').unwrap();
                let expected = (before.as_bytes(), after.as_bytes());
                assert_eq!(split(text.as_bytes(), b'/'), Some(expected));
                assert_eq!(rsplit(&text, b'/'), text.rsplit_once('/'));
            }
        }
    }

    #[test]
    fn only_the_character_itself_is_found() {
        for byte in 0..=u8::MAX {
            for neighbor in [0, b'/' - 1, b'/', b'/' + 1, b'/' | 0x80, 0xff] {
                let bytes = [neighbor, byte, neighbor, byte, neighbor, byte, neighbor, byte];
                let expected = bytes.iter().position(|byte| *byte == b'/');
                assert_eq!(split(&bytes, b'/').map(|(before, _)| before.len()), expected);
            }
        }
        assert_eq!(rsplit("ä,ö,ü,", b','), Some(("ä,ö,ü", "")));
        assert_eq!(rsplit("äöüäöü", b','), None);
    }
}
