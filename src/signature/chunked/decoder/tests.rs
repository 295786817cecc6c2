use proptest::prelude::*;

use super::{
    super::fixtures::{self, Form, OF_DIGITS, decode, decoder, signed, unsigned},
    *,
};
use crate::{
    domain::SecretKey,
    signature::{CredentialScope, parse_signature},
};

const CRC32: &str = "x-amz-checksum-crc32";
const CHUNKS_OF_DIGITS: [&[u8]; 3] = [b"123", b"45678", b"9"];

fn of_digits(trailer: &str) -> Vec<u8> {
    unsigned(&CHUNKS_OF_DIGITS, trailer, Form::Aws)
}

/// Decodes an unsigned body that should contain the nine digits.
fn decode_digits(body: impl AsRef<[u8]>) -> Result<Vec<u8>, ChunkedError> {
    let decoder = ChunkDecoder::unsigned(9).with_trailers(CRC32).unwrap();
    let result = decode(decoder, body.as_ref(), 7)?;
    assert_eq!(result.1, OF_DIGITS);
    Ok(result.0)
}

/// Every kind of body of the nine digits, with its decoder.
fn every_kind() -> Vec<(Vec<u8>, ChunkDecoder)> {
    let with_trailer = |decoder: ChunkDecoder| decoder.with_trailers(CRC32).unwrap();
    let mut kinds = vec![(signed(&CHUNKS_OF_DIGITS, None), decoder(9))];
    for form in [Form::Aws, Form::MinIo] {
        let body = signed(&CHUNKS_OF_DIGITS, Some((OF_DIGITS, form)));
        kinds.push((body, with_trailer(decoder(9))));
        let body = unsigned(&CHUNKS_OF_DIGITS, OF_DIGITS, form);
        kinds.push((body, with_trailer(ChunkDecoder::unsigned(9))));
    }
    kinds
}

/// The decoders of [`every_kind`], which cannot be cloned.
fn again(kind: usize) -> ChunkDecoder {
    every_kind().swap_remove(kind).1
}

#[test]
fn aws_documentation_uploads_decode() {
    let scope = "20130524/us-east-1/s3/aws4_request";
    let secret = SecretKey::from_stored("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let key = Arc::new(SigningKey::derive(&secret, &CredentialScope::parse(scope).unwrap()));
    let decoder = |seed: &str| {
        let seed = parse_signature(seed).unwrap();
        ChunkDecoder::signed(Arc::clone(&key), "20130524T000000Z", scope, &seed, 66_560)
    };
    let body = |signatures: [&str; 3], end: &str| {
        let [first, second, last] = signatures;
        format!(
            "10000;chunk-signature={first}\r\n{}\r\n400;chunk-signature={second}\r\n{}\r\n\
             0;chunk-signature={last}\r\n{end}",
            "a".repeat(65_536),
            "a".repeat(1_024)
        )
    };
    let plain = body(
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ],
        "\r\n",
    );
    // The lengths are published as well.
    assert_eq!(plain.len(), 66_824);
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let result = decode(decoder(seed), plain.as_bytes(), 4_096).unwrap();
    assert!(result.0 == vec![b'a'; 66_560] && result.1.is_empty());

    let trailers = "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:\
                    d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";
    let with_trailers = body(
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
        trailers,
    );
    assert_eq!(with_trailers.len(), 66_946);
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let decoder = decoder(seed).with_trailers("x-amz-checksum-crc32c").unwrap();
    let result = decode(decoder, with_trailers.as_bytes(), 4_096).unwrap();
    assert!(result.0 == vec![b'a'; 66_560]);
    assert_eq!(result.1, "x-amz-checksum-crc32c:sOO8/Q==");
}

#[test]
fn every_form_decodes_in_pieces_of_every_size() {
    for (kind, (body, _)) in every_kind().into_iter().enumerate() {
        for size in 1..=body.len() {
            let (payload, trailers) = decode(again(kind), &body, size).unwrap();
            assert_eq!(payload, b"123456789");
            assert_eq!(trailers, if kind == 0 { "" } else { OF_DIGITS });
        }
    }
}

#[test]
fn empty_payload_has_a_last_chunk() {
    assert_eq!(decode(decoder(0), &signed(&[], None), 9), Ok((vec![], String::new())));
    let trailers = |names| ChunkDecoder::unsigned(0).with_trailers(names).unwrap();
    assert_eq!(decode(trailers(""), b"0\r\n\r\n", 1).unwrap().0, b"");
    let result = decode(trailers(CRC32), b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 1);
    assert_eq!(result.unwrap().1, "x-amz-checksum-crc32:AAAAAA==");
    let signed = signed(&[], Some(("", Form::Aws)));
    assert!(decode(decoder(0).with_trailers("").unwrap(), &signed, 5).is_ok());
    assert_eq!(decode(decoder(0), b"", 1), Err(ChunkedError::Truncated));
}

#[test]
fn payload_is_returned_as_slices_of_the_input() {
    let mut body = Bytes::from(signed(&[&[1; 100], &[2; 100]], None));
    let whole = body.as_ptr_range();
    let mut decoder = decoder(200);
    let first = decoder.decode(&mut body).unwrap().unwrap();
    assert_eq!(decoder.decode(&mut body), Ok(None));
    let (second, _) = decoder.finish().unwrap();
    for piece in [first, second] {
        assert_eq!(piece.len(), 100);
        assert!(whole.contains(&piece.as_ptr()));
    }
}

#[test]
fn chunk_end_waits_for_its_signature_and_payload_end_for_everything() {
    let mut body = signed(&[b"abcdef", b"ghi"], None);
    let at = body.windows(6).position(|part| part == b"abcdef").unwrap() + 5;
    body[at] = b'F';
    let mut body = Bytes::from(body);
    let mut decoder = decoder(9);
    assert_eq!(decoder.decode(&mut body.split_to(at)).unwrap().unwrap(), "abcde");
    assert_eq!(decoder.decode(&mut body), Err(ChunkedError::ChunkSignature));

    let body = signed(&[b"abcdef", b"ghi"], None);
    let mut decoder = self::decoder(9);
    let mut body = Bytes::from(body);
    assert_eq!(decoder.decode(&mut body).unwrap().unwrap(), "abcdef");
    assert_eq!(decoder.remaining(), 3);
    assert_eq!(decoder.decode(&mut body), Ok(None));
    assert_eq!(decoder.remaining(), 3);
    assert_eq!(decoder.finish().unwrap().0, "ghi");
}

#[test]
fn every_call_after_an_error_returns_it() {
    let mut decoder = decoder(3);
    let mut body = Bytes::from_static(b"3\r\nabc");
    assert_eq!(decoder.decode(&mut body), Err(ChunkedError::Malformed));
    assert_eq!(
        decoder.decode(&mut Bytes::from(signed(&[b"abc"], None))),
        Err(ChunkedError::Malformed)
    );
    assert_eq!(decoder.finish(), Err(ChunkedError::Malformed));
}

#[test]
fn every_changed_byte_of_a_signed_body_is_rejected() {
    for (kind, (body, _)) in every_kind().into_iter().enumerate() {
        for at in 0..body.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = body.clone();
                changed[at] ^= flip;
                let result = decode(again(kind), &changed, 16);
                // Sizes and names may be in any case.
                let same = flip == 0x20 && result == decode(again(kind), &body, 16);
                assert!(result.is_err() || same, "{kind} {at} {flip}");
            }
        }
    }
}

#[test]
fn shortened_or_extended_body_is_rejected() {
    for (kind, (body, _)) in every_kind().into_iter().enumerate() {
        for end in 0..body.len() {
            let cut = decode(again(kind), &body[..end], 16);
            assert_eq!(cut, Err(ChunkedError::Truncated), "{kind} {end}");
        }
        for more in ["x", "\r\n", "0\r\n\r\n"] {
            let longer = [&body, more.as_bytes()].concat();
            let result = decode(again(kind), &longer, 16);
            assert_eq!(result, Err(ChunkedError::Malformed), "{kind} {more}");
        }
    }
}

#[test]
fn swapped_duplicate_missing_or_foreign_chunk_is_rejected() {
    let chunks: [&[u8]; 3] = [b"abc", b"def", b"ghi"];
    let body = signed(&chunks, None);
    let size = "3;chunk-signature=".len() + 64 + "\r\nabc\r\n".len();
    let mut parts: Vec<&[u8]> = body[..3 * size].chunks(size).collect();
    let end = &body[3 * size..];
    let other = signed(&[b"abc", b"xyz", b"ghi"], None);
    parts.push(&other[size..2 * size]);
    parts.push(&other[2 * size..3 * size]);
    let mut refused = 0;
    // Every sequence of two, three and four chunks.
    for a in 0..5 {
        for b in 0..5 {
            for c in 0..5 {
                let mixed = [parts[a], parts[b], parts[c], end].concat();
                let good = [a, b, c] == [0, 1, 2];
                assert_eq!(decode(decoder(9), &mixed, 64).is_ok(), good, "{a} {b} {c}");
                refused += usize::from(!good);
            }
            assert!(decode(decoder(6), &[parts[a], parts[b], end].concat(), 64).is_err());
            let longer = [parts[0], parts[1], parts[a], parts[b], end].concat();
            assert!(decode(decoder(12), &longer, 64).is_err());
        }
    }
    assert_eq!(refused, 124);
}

#[test]
fn chunk_signature_covers_key_time_scope_and_seed() {
    let body = signed(&[b"abc"], None);
    let decoder = |secret: &str, time: &str, scope: &str, seed: u8| {
        let of_key = CredentialScope::parse(fixtures::SCOPE).unwrap();
        let key = SigningKey::derive(&SecretKey::from_stored(secret), &of_key);
        ChunkDecoder::signed(Arc::new(key), time, scope, &[seed; 32], 3)
    };
    let (secret, time, scope) =
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", fixtures::TIME, fixtures::SCOPE);
    assert!(decode(decoder(secret, time, scope, 7), &body, 99).is_ok());
    let later = "20130524T000001Z";
    let elsewhere = "20130524/us-west-1/s3/aws4_request";
    for other in [
        decoder("another", time, scope, 7),
        decoder("", time, scope, 7),
        decoder(secret, later, scope, 7),
        decoder(secret, time, elsewhere, 7),
        decoder(secret, time, scope, 8),
    ] {
        assert_eq!(decode(other, &body, 99), Err(ChunkedError::ChunkSignature));
    }
}

#[test]
fn payload_must_have_the_declared_length() {
    for (length, error) in [
        (0, ChunkedError::TooLong),
        (8, ChunkedError::TooLong),
        (10, ChunkedError::TooShort),
        (usize::MAX, ChunkedError::TooShort),
    ] {
        assert_eq!(decode(decoder(length), &signed(&CHUNKS_OF_DIGITS, None), 9), Err(error));
    }
    // Before any byte of a chunk that is too long is returned.
    let mut decoder = ChunkDecoder::unsigned(9);
    let mut body = Bytes::from_static(b"ffffffffffffffff\r\nabc");
    assert_eq!(decoder.decode(&mut body), Err(ChunkedError::TooLong));
}

#[test]
fn overlong_lines_are_rejected_early() {
    let refused = |mut decoder: ChunkDecoder, start: &str| {
        let mut body = Bytes::from([start.as_bytes(), &[b'1'; 1_000]].concat());
        while decoder.decode(&mut body).is_ok_and(|piece| piece.is_some()) {}
        (body.len(), decoder.decode(&mut body).unwrap_err())
    };
    let (left, error) = refused(ChunkDecoder::unsigned(9), "");
    assert!(left >= 900 && error == ChunkedError::Malformed);
    let (left, error) = refused(ChunkDecoder::unsigned(9), "1\r\n1");
    assert!(left >= 998 && error == ChunkedError::Malformed);
    let trailers = ChunkDecoder::unsigned(0).with_trailers(CRC32).unwrap();
    let (left, error) = refused(trailers, "0\r\n");
    assert!(left >= 700 && error == ChunkedError::MalformedTrailer);
}

#[test]
fn small_chunks_are_accepted_up_to_a_limit() {
    let of = |size: usize, count: usize| {
        let chunk = vec![b'x'; size];
        let body = unsigned(&vec![&*chunk; count], "", Form::Aws);
        let decoder = ChunkDecoder::unsigned((size * count) as u64).with_trailers("").unwrap();
        decode(decoder, &body, 1_000).map(|(payload, _)| payload.len())
    };
    assert_eq!(of(1, 1_024), Ok(1_024));
    assert_eq!(of(1, 1_100), Err(ChunkedError::ChunkTooSmall));
    assert_eq!(of(512, 5_000), Ok(2_560_000));
    assert_eq!(of(256, 5_000), Err(ChunkedError::ChunkTooSmall));
}

#[test]
fn trailer_must_be_announced_unique_and_correct() {
    assert_eq!(decode_digits(of_digits(OF_DIGITS)).unwrap(), b"123456789");
    for same in ["X-Amz-Checksum-CRC32:y/Q5Jg==", "x-amz-checksum-crc32: y/Q5Jg== \t"] {
        assert!(decode_digits(of_digits(same)).is_ok(), "{same}");
    }
    for (bad, error) in [
        ("", ChunkedError::MalformedTrailer),
        ("x-amz-checksum-crc32:y/Q5Jh==", ChunkedError::MalformedTrailer),
        ("x-amz-checksum-crc32:y/Q5Jg", ChunkedError::MalformedTrailer),
        ("x-amz-checksum-crc32:", ChunkedError::MalformedTrailer),
        ("x-amz-checksum-crc32", ChunkedError::MalformedTrailer),
        ("x-amz-checksum-crc32:AAAAAA==", ChunkedError::BadDigest),
        ("x-amz-checksum-crc32c:4waSgw==", ChunkedError::UnannouncedTrailer),
        ("x-amz-checksum-crc32 :y/Q5Jg==", ChunkedError::UnannouncedTrailer),
        ("x-amz-meta-a:b", ChunkedError::UnannouncedTrailer),
        (":y/Q5Jg==", ChunkedError::UnannouncedTrailer),
        (&format!("{OF_DIGITS}\r\n{OF_DIGITS}"), ChunkedError::MalformedTrailer),
        (&format!("{OF_DIGITS}\r\nx-amz-meta-a:b"), ChunkedError::UnannouncedTrailer),
        (&format!("{OF_DIGITS}\n{OF_DIGITS}"), ChunkedError::MalformedTrailer),
        (&format!("{OF_DIGITS}\r\nx-amz-trailer-signature:"), ChunkedError::UnannouncedTrailer),
    ] {
        assert_eq!(decode_digits(of_digits(bad)), Err(error), "{bad}");
    }
    let invalid = of_digits("x-amz-checksum-crc32:\u{e4}");
    assert_eq!(decode_digits(invalid), Err(ChunkedError::MalformedTrailer));
}

#[test]
fn unannounced_trailer_is_rejected() {
    for body in [of_digits(OF_DIGITS), b"0\r\n\n".to_vec(), b"0\r\n\r\r".to_vec()] {
        let length = if body.len() > 9 { 9 } else { 0 };
        let result = decode(ChunkDecoder::unsigned(length), &body, 99);
        assert_eq!(result, Err(ChunkedError::Malformed));
        let decoder = ChunkDecoder::unsigned(length).with_trailers("").unwrap();
        assert!(decode(decoder, &body, 99).is_err());
    }
}

#[test]
fn only_one_known_checksum_may_be_announced() {
    let announce = |names| ChunkDecoder::unsigned(0).with_trailers(names).map(|_| ());
    for good in
        ["", " ", "x-amz-checksum-sha256", " X-Amz-Checksum-CRC64NVME ", "x-amz-checksum-sha1,"]
    {
        assert_eq!(announce(good), Ok(()), "{good}");
    }
    for bad in [
        "x-amz-meta-a",
        "x-amz-checksum-xxhash64",
        "x-amz-trailer-signature",
        "x-amz-checksum-crc32,x-amz-checksum-sha1",
        "x-amz-checksum-crc32,x-amz-checksum-crc32",
        "x-amz-checksum-crc32 x-amz-checksum-sha1",
        "content-length",
    ] {
        assert_eq!(announce(bad), Err(ChunkedError::UnsupportedTrailer), "{bad}");
    }
}

#[test]
fn signed_trailers_need_their_signature_in_place() {
    let body = signed(&CHUNKS_OF_DIGITS, Some((OF_DIGITS, Form::Aws)));
    let text = String::from_utf8(body).unwrap();
    let (chunks, rest) = text.split_at(text.find("x-amz-checksum").unwrap());
    let (_, signature) = rest.split_once("\r\n").unwrap();
    let wrong = format!("x-amz-trailer-signature:{}\r\n\r\n", "0".repeat(64));
    let other = "x-amz-checksum-crc32:AAAAAA==";
    for (end, error) in [
        (format!("{OF_DIGITS}\r\n\r\n"), ChunkedError::TrailerSignature),
        ("\r\n".to_owned(), ChunkedError::TrailerSignature),
        (format!("{OF_DIGITS}\r\n{wrong}"), ChunkedError::TrailerSignature),
        (format!("{other}\r\n{signature}"), ChunkedError::TrailerSignature),
        (signature.to_owned(), ChunkedError::TrailerSignature),
        (
            format!("{OF_DIGITS}\r\nx-amz-trailer-signature:\r\n\r\n"),
            ChunkedError::TrailerSignature,
        ),
        (format!("{OF_DIGITS}\r\n\r\n{signature}"), ChunkedError::TrailerSignature),
        (format!("{OF_DIGITS}\n{signature}"), ChunkedError::MalformedTrailer),
        (format!("{OF_DIGITS}\n\r\n\r\n"), ChunkedError::MalformedTrailer),
        (
            format!("{}{OF_DIGITS}\r\n\r\n", &signature[..signature.len() - 2]),
            ChunkedError::MalformedTrailer,
        ),
        (format!("{0}{0}\r\n", &signature[..signature.len() - 2]), ChunkedError::MalformedTrailer),
    ] {
        let decoder = decoder(9).with_trailers(CRC32).unwrap();
        let body = format!("{chunks}{end}");
        assert_eq!(decode(decoder, body.as_bytes(), 99), Err(error), "{end}");
    }
    // Signed trailers cannot be omitted by not announcing them.
    assert_eq!(decode(decoder(9), text.as_bytes(), 99), Err(ChunkedError::Malformed));
}

#[test]
fn debug_shows_no_signature() {
    let text = format!("{:?}", decoder(9));
    assert!(text.contains("remaining") && !text.contains("0707"), "{text}");
}

proptest! {
    #[test]
    fn decoding_never_panics(
        start in prop_oneof![Just(""), Just("5\r\n12345\r\n0\r\n"), Just("0\r\n"), Just("5;chunk-signature=")],
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        size in 1..40_usize,
        length in 0..9_u64,
    ) {
        let body = [start.as_bytes(), &rest].concat();
        for decoder in [decoder(5), ChunkDecoder::unsigned(length)] {
            let _ = decode(decoder.with_trailers(CRC32).unwrap(), &body, size);
        }
    }

    #[test]
    fn encoded_payload_decodes_in_any_pieces(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..600), 0..5),
        size in 1..900_usize,
        minio in any::<bool>(),
    ) {
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let payload = chunks.concat();
        let form = if minio { Form::MinIo } else { Form::Aws };
        let crc = data_encoding::BASE64.encode(&crc_fast::crc32_iso_hdlc(&payload).to_be_bytes());
        let trailer = format!("{CRC32}:{crc}");
        let expected = Ok((payload.clone(), trailer.clone()));

        let body = signed(&chunks, Some((&trailer, form)));
        let decoder = decoder(payload.len()).with_trailers(CRC32).unwrap();
        prop_assert_eq!(decode(decoder, &body, size), expected.clone());

        let body = unsigned(&chunks, &trailer, form);
        let decoder = ChunkDecoder::unsigned(payload.len() as u64).with_trailers(CRC32).unwrap();
        prop_assert_eq!(decode(decoder, &body, size), expected);

        let body = signed(&chunks, None);
        prop_assert_eq!(decode(self::decoder(payload.len()), &body, size), Ok((payload, String::new())));
    }
}
