//! The canonical spelling of paths and of the parts of a query.

use std::borrow::Cow;

use crate::signature::scan;

/// Writes the canonical form of a path. Returns `false` if a `%` is not followed by two hex
/// digits.
#[must_use]
pub(super) fn write_path(text: &mut Vec<u8>, path: &str) -> bool {
    if path.is_empty() {
        text.push(b'/');
        return true;
    }
    // Most paths need no change.
    if !scan::any(path.as_bytes(), |byte| !is_plain_in_path(byte)) {
        text.extend_from_slice(path.as_bytes());
        return true;
    }
    write(text, path.as_bytes(), &IN_PATH, |byte| byte)
}

/// Returns the canonical form of a name or value of a query. `None` if a `%` is not followed
/// by two hex digits.
pub(super) fn canonical_part(part: &str) -> Option<Cow<'_, str>> {
    if is_canonical(part) {
        return Some(Cow::Borrowed(part));
    }
    let mut text = Vec::with_capacity(part.len() + 16);
    let space = |byte| if byte == b'+' { b' ' } else { byte };
    let whole = write(&mut text, part.as_bytes(), &UNRESERVED, space);
    String::from_utf8(text).ok().filter(|_| whole).map(Cow::Owned)
}

/// Returns whether a name or value of a query is canonical.
pub(super) fn is_canonical(part: &str) -> bool {
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if is_unreserved(byte) {
            continue;
        }
        let (b'%', Some(high), Some(low)) = (byte, bytes.next(), bytes.next()) else {
            return false;
        };
        let lower = high.is_ascii_lowercase() || low.is_ascii_lowercase();
        match (digit(high), digit(low)) {
            (Some(high), Some(low)) if !lower && !is_unreserved(high << 4 | low) => {}
            _ => return false,
        }
    }
    true
}

/// The bytes that are not escaped: letters, digits and `-._~`.
const UNRESERVED: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    plain
};

/// The same, and slashes: for paths.
const IN_PATH: [bool; 256] = {
    let mut plain = UNRESERVED;
    plain[b'/' as usize] = true;
    plain
};

/// The same as [`IN_PATH`], without a table, so that the compiler vectorizes the check of a path.
#[expect(clippy::needless_bitwise_bool, reason = "a branch keeps the compiler from vectorizing")]
const fn is_plain_in_path(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-./` and the digits follow one another.
    letter | (byte.wrapping_sub(b'-') < 13) | (byte == b'_') | (byte == b'~')
}

fn is_unreserved(byte: u8) -> bool {
    UNRESERVED[usize::from(byte)]
}

fn write(
    text: &mut Vec<u8>,
    mut bytes: &[u8],
    plain: &[bool; 256],
    meant: impl Fn(u8) -> u8,
) -> bool {
    let fine = |byte: u8| plain[usize::from(byte)];
    loop {
        // Most texts need no change: copy whole runs of plain bytes.
        let run = bytes.iter().position(|byte| !fine(*byte)).unwrap_or(bytes.len());
        text.extend_from_slice(&bytes[..run]);
        let Some(byte) = bytes.get(run).copied() else { return true };
        bytes = &bytes[run + 1..];
        if byte != b'%' {
            escape(text, meant(byte));
            continue;
        }
        let [high, low, rest @ ..] = bytes else { return false };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return false };
        let byte = high << 4 | low;
        if is_unreserved(byte) {
            text.push(byte);
        } else {
            escape(text, byte);
        }
        bytes = rest;
    }
}

fn escape(text: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn path(path: &str) -> Option<String> {
        let mut text = Vec::new();
        write_path(&mut text, path).then(|| String::from_utf8(text).unwrap())
    }

    #[test]
    fn paths_are_neither_normalized_nor_encoded_twice() {
        for (sent, signed) in [
            ("", "/"),
            ("/", "/"),
            ("//a/../b/./c//", "//a/../b/./c//"),
            ("/a%20b", "/a%20b"),
            ("/a+b", "/a%2Bb"),
            ("/a%2fb", "/a%2Fb"),
            ("/%7e%41%2d", "/~A-"),
            ("/(x)=1&y", "/%28x%29%3D1%26y"),
            ("/%25%32%35", "/%2525"),
            ("/ä%ff", "/%C3%A4%FF"),
        ] {
            assert_eq!(path(sent).as_deref(), Some(signed), "{sent}");
        }
    }

    #[test]
    fn percent_sign_without_hex_digits_is_rejected() {
        for bad in ["/%", "/%2", "/%zz", "/a%%20", "/%2%30", "/%ä"] {
            assert_eq!(path(bad), None, "{bad}");
            assert_eq!(canonical_part(bad), None, "{bad}");
        }
    }

    #[test]
    fn plus_in_a_query_is_a_space() {
        for (sent, signed) in
            [("a+b", "a%20b"), ("a%2bb", "a%2Bb"), ("a/b", "a%2Fb"), ("a%20b", "a%20b")]
        {
            assert_eq!(canonical_part(sent).as_deref(), Some(signed), "{sent}");
        }
        assert!(matches!(canonical_part("a%20b"), Some(Cow::Borrowed(_))));
    }

    #[test]
    fn check_of_a_path_is_the_table() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_plain_in_path(byte), IN_PATH[usize::from(byte)], "{byte}");
        }
    }

    proptest! {
        #[test]
        fn canonical_form_is_stable_and_keeps_the_meaning(sent in "/[a-zA-Z0-9%/+ .~äß&=-]{0,40}") {
            if let Some(part) = canonical_part(&sent) {
                prop_assert_eq!(is_canonical(&sent), sent == part);
                prop_assert!(is_canonical(&part));
            }
            if let Some(signed) = path(&sent) {
                prop_assert_eq!(path(&signed), Some(signed.clone()));
                let meaning = |text: &str| percent_decode_str(text).collect::<Vec<_>>();
                prop_assert_eq!(meaning(&sent), meaning(&signed));
            }
        }
    }
}
