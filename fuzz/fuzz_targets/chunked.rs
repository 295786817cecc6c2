//! Bodies in chunks. The first byte is the length of the pieces, the second the declared length
//! of the payload.
//!
//! Decoding never panics. The payload has the declared length, and is the same in any pieces.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tower_credentials::signature::{ChunkDecoder, ChunkedError};

fuzz_target!(|data: &[u8]| {
    let [piece, length, body @ ..] = data else { return };
    let whole = decode(body, body.len().max(1), u64::from(*length));
    let cut = decode(body, usize::from(*piece).max(1), u64::from(*length));
    match (whole, cut) {
        (Ok(whole), Ok(cut)) => {
            assert_eq!(whole, cut);
            assert_eq!(whole.len(), usize::from(*length));
        }
        (Err(_), Err(_)) => {}
        (whole, cut) => panic!("{whole:?} is not {cut:?}"),
    }
});

fn decode(body: &[u8], piece: usize, length: u64) -> Result<Vec<u8>, ChunkedError> {
    let mut decoder = ChunkDecoder::unsigned(length).with_trailers("x-amz-checksum-crc32")?;
    let mut payload = Vec::new();
    for piece in body.chunks(piece) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(data) = decoder.decode(&mut piece)? {
            payload.extend_from_slice(&data);
        }
    }
    let (last, _) = decoder.finish()?;
    payload.extend_from_slice(&last);
    Ok(payload)
}
