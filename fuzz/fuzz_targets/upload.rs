//! Forms over HTTP, with the boundary `XX`. The first byte is the length of the pieces.
//!
//! Reading never panics and always ends. The result is the same in any pieces.

#![no_main]

use std::collections::VecDeque;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use libfuzzer_sys::fuzz_target;
use tower_credentials::fuzzing;

fuzz_target!(|data: &[u8]| {
    let [piece, body @ ..] = data else { return };
    let whole = read(body, body.len());
    let cut = read(body, usize::from(*piece));
    assert_eq!(whole, cut);
});

/// The fields, the key and the file.
type Read = (Vec<(String, String)>, String, Vec<u8>);

fn read(body: &[u8], piece: usize) -> Option<Read> {
    let pieces = body.chunks(piece.max(1)).map(Bytes::copy_from_slice);
    let pieces: VecDeque<_> = pieces.map(|piece| Ok::<_, String>(Frame::data(piece))).collect();
    let body = StreamBody::new(futures_util::stream::iter(pieces));
    let (form, file) = fuzzing::upload(body, "multipart/form-data; boundary=XX")?;
    let fields = form.fields().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some((fields.collect(), form.key().to_owned(), file))
}
