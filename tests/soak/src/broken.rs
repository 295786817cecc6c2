//! Broken HTTP, incomplete and slow bodies, and pipelines.

use std::time::Duration;

use crate::{
    hostile::{Sender, Shot},
    people::token,
    sign::{Sketch, Terms},
    uses::bucket,
    wire::Pieces,
    world::Kind,
};

const NONE: Duration = Duration::ZERO;

/// Request lines, without their end.
const LINES: [&[u8]; 22] = [
    b"",
    b"GET",
    b"GET ",
    b"GET /",
    b"GET / HTTP/9.9",
    b"GET / HTTP/1.0",
    b"GET / HTP/1.1",
    b"GET  /  HTTP/1.1",
    b"G\0T / HTTP/1.1",
    b"GET /\0 HTTP/1.1",
    b"GET /\x7f HTTP/1.1",
    b"GET /\xff\xfe HTTP/1.1",
    b"GET /credentials/\xc3\xa9 HTTP/1.1",
    b"get /credentials HTTP/1.1",
    b"GET credentials HTTP/1.1",
    b"GET http:// HTTP/1.1",
    b"GET http://elsewhere/credentials HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"POST * HTTP/1.1",
    b"CONNECT elsewhere:443 HTTP/1.1",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x7f\x01",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
];

/// Invalid headers.
const HEADERS: [&[u8]; 22] = [
    b"Host: elsewhere\r\n",
    b"Host: \r\nHost: \xff\r\n",
    b"no colon\r\n",
    b": no name\r\n",
    b"a name: x\r\n",
    b"X-Folded: a\r\n b\r\n\tc\r\n",
    b"X-Nul: \0\r\n",
    b"X-Return: a\rb\r\n",
    b"X-Auth-Token: \xff\xfe\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 2\r\nContent-Length: 2\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: +2\r\n",
    b"Content-Length: 1e1\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Content-Length: 2, 2\r\n",
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Expect: 200-maybe\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n",
];

/// Invalid chunked bodies.
const CHUNKS: [&[u8]; 14] = [
    b"zz\r\nx\r\n0\r\n\r\n",
    b"-1\r\nx\r\n0\r\n\r\n",
    b"0x2\r\n{}\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    b"ffffffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}0\r\n\r\n",
    b"2\n{}\n0\n\n",
    b"2;a=\"\r\n\"\r\n{}\r\n0\r\n\r\n",
    b"2 \r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}\r\n0\r\nHost: elsewhere\r\n\r\n",
    b"2\r\n{}\r\n0\r\nno colon\r\n\r\n",
    b"2\r\n{}\r\n0\r\n\r\nGET /credentials HTTP/1.1\r\n\r\n",
    b"1\r\n{\r\n",
    b"\r\n\r\n",
];

pub(crate) fn shot(sender: &mut Sender<'_>) -> Shot {
    let (host, by) = (sender.world.host().to_owned(), token(sender.me));
    let one = |bytes: Vec<u8>| vec![(bytes, NONE)];
    let post = sender.target();
    let dice = &mut sender.dice;
    match dice.below(7) {
        0 => {
            let line = if dice.one_in(8) { &dice.bytes(64) } else { dice.pick(&LINES) };
            let rest = format!("\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            Shot::Broken { class: "broken lines", pieces: one([line, rest.as_bytes()].concat()) }
        }
        1 => {
            let header = dice.pick(&HEADERS);
            let head = post.head(&host, "close");
            let bytes = [head.as_bytes(), header, b"\r\n", &post.body].concat();
            Shot::Broken { class: "broken headers", pieces: one(bytes) }
        }
        2 => {
            let head = post.head(&host, "close");
            let head = head + "Transfer-Encoding: chunked\r\n\r\n";
            let bytes = [head.as_bytes(), dice.pick(&CHUNKS)].concat();
            Shot::Broken { class: "broken chunks", pieces: one(bytes) }
        }
        3 => {
            let long = "x".repeat(1 << (10 + dice.below(8)));
            let get = match dice.below(5) {
                0 => Sketch::call("GET", &format!("/credentials/{long}"), &by, ""),
                1 => Sketch::call("GET", &format!("/v3/credentials?marker={long}"), &by, ""),
                2 => Sketch::call("GET", "/credentials", &long, ""),
                3 => Sketch::new(&long, "/credentials"),
                _ => (0..1 << (2 + dice.below(7))).fold(Sketch::new("GET", "/"), |get, n| {
                    get.header(&format!("x-amz-meta-{n}"), "value")
                }),
            };
            Shot::Broken { class: "huge heads", pieces: one(get.write(&host)) }
        }
        4 => {
            // Disconnects in the middle of the head or the body.
            let whole = post.write(&host);
            let cut = dice.below(whole.len());
            let pause = Duration::from_millis(u64::try_from(dice.below(20)).unwrap());
            Shot::Left { class: "disconnects", pieces: vec![(whole[..cut].to_vec(), pause)] }
        }
        5 => {
            // Sends less than its length.
            let head = post.head(&host, "close");
            let length = post.body.len() + 1 + dice.below(100_000);
            let head = format!("{head}Content-Length: {length}\r\n\r\n");
            let bytes = [head.as_bytes(), &post.body].concat();
            Shot::Left { class: "disconnects", pieces: vec![(bytes, Duration::from_millis(20))] }
        }
        _ => {
            // Does not wait for the response.
            Shot::Left { class: "disconnects", pieces: one(post.write(&host)) }
        }
    }
}

/// A slow body, which must get a response.
pub(crate) fn slow(sender: &mut Sender<'_>) -> Shot {
    let whole = sender.target().write(sender.world.host());
    let count = 2 + sender.dice.below(5);
    let pause = Duration::from_millis(50 + u64::try_from(sender.dice.below(400)).unwrap());
    let size = whole.len().div_ceil(count);
    let pieces: Pieces = whole.chunks(size).map(|piece| (piece.to_vec(), pause)).collect();
    Shot::Pieces { class: "slow bodies", pieces, count: 1 }
}

/// Pipelined requests.
pub(crate) fn pipelined(sender: &mut Sender<'_>) -> Shot {
    let (host, by, key) = (sender.world.host().to_owned(), token(sender.me), sender.own());
    let count = 2 + sender.dice.below(4);
    let mut bytes = Vec::new();
    for n in 0..count {
        let get = match sender.dice.below(3) {
            0 => Sketch::new("GET", "/healthz"),
            1 => Sketch::call("GET", "/v3/credentials", &by, ""),
            _ => Sketch::new("GET", "/").v4(&host, &key.access, &key.secret, &Terms::default()),
        };
        let last = n == count - 1;
        let head = get.head(&host, if last { "close" } else { "keep-alive" });
        bytes.extend_from_slice(format!("{head}\r\n").as_bytes());
    }
    Shot::Pieces { class: "pipelines", pieces: vec![(bytes, NONE)], count }
}

impl Sender<'_> {
    /// A valid request with a body.
    fn target(&mut self) -> Sketch {
        let (by, key) = (token(self.me), self.own());
        if self.world.kind != Kind::Front && self.dice.one_in(2) {
            let path = format!("/{}/object-{}", bucket(self.me), self.dice.below(20));
            let size = 1 + self.dice.below(2_000);
            let put = Sketch::new("PUT", path).body(self.dice.bytes(size));
            return put.v4(self.world.host(), &key.access, &key.secret, &Terms::default());
        }
        let body = r#"{"credential": {"blob": {"status": "Active"}}}"#;
        Sketch::call("PATCH", &format!("/credentials/{}", key.access), &by, body)
    }
}
