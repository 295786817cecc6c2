//! Digests in lowercase hex. Without branches and tables, so that the compiler vectorizes the loops.

/// Writes a digest in hex.
pub(super) fn encode(digest: &[u8; 32]) -> [u8; 64] {
    let digit = |value: u8| value + b'0' + if value > 9 { b'a' - b'9' - 1 } else { 0 };
    let mut text = [0; 64];
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(digest) {
        *pair = [digit(byte >> 4), digit(byte & 0x0f)];
    }
    text
}

/// Reads a digest in hex. Returns `None` unless the text is 64 lowercase hex digits.
#[expect(clippy::needless_bitwise_bool, reason = "a branch keeps the compiler from vectorizing")]
pub(super) fn decode(text: &[u8]) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let (mut values, mut wrong) = ([0; 64], false);
    for (value, digit) in values.iter_mut().zip(text) {
        let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        wrong |= (number > 9) & (letter > 5);
        *value = if number > 9 { letter.wrapping_add(10) } else { number };
    }
    let mut digest = [0; 32];
    for (byte, [high, low]) in digest.iter_mut().zip(values.as_chunks().0) {
        *byte = high << 4 | low;
    }
    (!wrong).then_some(digest)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn digests_are_written_and_read_like_by_the_general_encoder() {
        for first in 0..=u8::MAX {
            let mut digest = [first; 32];
            (0_u8..).zip(&mut digest).for_each(|(at, byte)| *byte = byte.wrapping_add(7 * at));
            let text = HEXLOWER.encode(&digest);
            assert_eq!(encode(&digest), text.as_bytes());
            assert_eq!(decode(text.as_bytes()), Some(digest));
        }
    }

    #[test]
    fn only_lowercase_hex_digits_are_read() {
        for byte in 0..=u8::MAX {
            for at in [0, 1, 31, 62, 63] {
                let mut text = [b'0'; 64];
                text[at] = byte;
                assert_eq!(decode(&text).is_some(), b"0123456789abcdef".contains(&byte), "{byte}");
            }
        }
        for length in [0, 62, 63, 65, 66] {
            assert_eq!(decode(&vec![b'0'; length]), None, "{length}");
        }
    }
}
