//! Calls of the credential APIs with unusual ids, headers and bodies.

use data_encoding::BASE64;
use serde_json::json;

use crate::{
    dice::Dice,
    hostile::{Sender, Shot},
    people::{OWNERS, project_of, token, user},
    sign::{Sketch, sha256},
};

/// Invalid bodies.
const BODIES: [&[u8]; 26] = [
    b"{",
    b"[]",
    b"null",
    b"7",
    b"\"text\"",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b"{\"credential\": null}",
    b"{\"credential\": []}",
    b"{\"credential\": {}, \"credential\": {\"type\": \"ec2\"}}",
    b"{\"credential\": {\"type\": 7}}",
    b"{\"credential\": {\"type\": \"ec2\", \"blob\": null}}",
    b"{\"credential\": {\"type\": \"ec2\", \"blob\": \"null\"}}",
    b"{\"credential\": {\"type\": \"ec2\", \"blob\": \"{\\\"access\\\": 7}\"}}",
    b"{\"credential\": {\"blob\": {\"status\": null}}}",
    b"{\"credential\": {\"blob\": {\"status\": \"active\"}}}",
    b"{\"credential\": {\"blob\": {\"status\": [\"Active\"]}}}",
    b"{\"credential\": {\"type\": \"ec2\", \"blob\": {\"access\": \"\\ud800\", \"secret\": \"x\"}}}",
    b"{\"credential\": {\"type\": \"ec2\", \"blob\": {\"access\": \"a\\u0000b\", \"secret\": \"x\"}}}",
    b"{\"credential\": {\"type\": \"ec2\", \"blob\": {\"access\": \"\", \"secret\": \"\"}}}",
    b"{\"credential\": {\"type\": \"ec2\", \"trust_id\": \"t\"}}",
    b"{\"credential\": {\"type\": \"ec2\", \"user_id\": 1e400}}",
    b"{\"tenant_id\": {\"a\": \"b\"}}",
    b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
    b"<ec2Credentials xmlns=\"x\" username=\"a\" key=\"b\"",
    b"<s3Credentials><a><b></a></b></s3Credentials>",
];

/// Paths of operations; `{a}` is an access key, `{i}` an id of v3, `{u}` a user.
const PATHS: [&str; 20] = [
    "/credentials",
    "/credentials/",
    "/credentials/{a}",
    "/credentials/{a}/",
    "/credentials?user_id={u}",
    "/credentials?project_id={a}&limit=-1",
    "/v3/credentials",
    "/v3/credentials/{i}",
    "/v3/credentials?user_id={u}&type=ec2",
    "/v3/credentials?limit={a}&marker={i}&marker={i}",
    "/v3/users/{u}/credentials/OS-EC2",
    "/v3/users/{u}/credentials/OS-EC2/{a}",
    "/v2.0/users/{u}/credentials/OS-EC2",
    "/v2.0/users/{u}/credentials/OS-EC2/{a}",
    "/v2.0/users/{u}/OS-KSADM/credentials",
    "/v2.0/users/{u}/OS-KSADM/credentials/OS-KSEC2:ec2Credentials",
    "/v2.0/users/{u}/OS-KSS3/credentials/s3credentials",
    "/v2.0/users/{u}/OS-KSADM/credentials.xml?limit={a}",
    "/v3/s3tokens",
    "/v3/credentials/{i}/{a}",
];

const METHODS: [&str; 10] =
    ["GET", "GET", "POST", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "FROB"];

/// Headers of browsers, proxies and clients.
const HEADERS: [(&str, &str); 24] = [
    ("Origin", "null"),
    ("Origin", "http://elsewhere"),
    ("Origin", "http://[::1]:80"),
    ("Origin", ""),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Accept", "application/xml"),
    ("Accept", "*/*;q=x, ,;"),
    ("Content-Type", "application/xml"),
    ("Content-Type", "application/json; charset=utf-7"),
    ("Content-Type", "text/plain"),
    ("Content-Encoding", "gzip"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Forwarded-Host", "elsewhere"),
    ("Forwarded", "host=\"elsewhere\";proto=https"),
    ("X-Subject-Token", "nobodys"),
    ("X-Service-Token", "nobodys"),
    ("Openstack-Identity-Access-Rules", "1.0"),
    ("If-Match", "\"x\""),
    ("Range", "bytes=0-0,-1,5-2"),
    ("Expect", "100-continue"),
    ("Cookie", "a=b"),
    ("Authorization", "Bearer nobodys"),
    ("Authorization", "Basic !!!"),
];

pub(crate) fn shot(sender: &mut Sender<'_>) -> Shot {
    let (me, own, foreign) = (sender.me, sender.own(), sender.foreign());
    let dice = &mut sender.dice;
    if dice.one_in(4) {
        return forbidden(dice, me, &foreign.access, foreign.owner);
    }
    let (key, of) = if dice.one_in(2) { (&own, me) } else { (&foreign, foreign.owner) };
    let (access, id) = (respelled(dice, &key.access), sha256(key.access.as_bytes()));
    let (id, of) = (respelled(dice, &id), respelled(dice, &user(of)));
    let path = dice.pick(&PATHS).replace("{a}", &access).replace("{i}", &id);
    let mut sketch = Sketch::new(dice.pick(&METHODS), path.replace("{u}", &of));
    sketch = with_token(dice, sketch, me);
    if !dice.one_in(3) {
        sketch = sketch.header("Content-Type", "application/json");
    }
    for _ in 0..dice.below(3) {
        let (name, value) = HEADERS[dice.below(HEADERS.len())];
        sketch = sketch.header(name, value);
    }
    if !matches!(&*sketch.method, "GET" | "HEAD") || dice.one_in(10) {
        sketch.body = body(dice, me);
    }
    Shot::Request { class: "odd calls", sketch, forbidden: false }
}

/// A call that must not succeed: for another user's key, or with another user or project.
fn forbidden(dice: &mut Dice, me: usize, access: &str, owner: usize) -> Shot {
    let (by, id, victim) = (token(me), sha256(access.as_bytes()), user(owner));
    let place = project_of(dice.below(OWNERS));
    let blob = json!({"access": dice.hex(), "secret": dice.hex()});
    let status = json!({"credential": {"blob": {"status": "Inactive"}}}).to_string();
    let pair = json!({"credential": {"blob": blob.to_string()}}).to_string();
    let create = |user: &str, project: &str| {
        json!({"credential": {"type": "ec2", "blob": blob.to_string(), "user_id": user,
            "project_id": project}})
    };
    let os_ec2 = format!("/v3/users/{victim}/credentials/OS-EC2");
    let in_ibm = json!({"credential": {"type": "ec2", "user_id": victim, "project_id": place}});
    let sketch = match dice.below(9) {
        0 => Sketch::call("GET", &format!("/credentials/{access}"), &by, ""),
        1 => Sketch::call("PATCH", &format!("/credentials/{access}"), &by, &status),
        2 => Sketch::call("DELETE", &format!("/credentials/{access}"), &by, ""),
        3 => Sketch::call("GET", &format!("/v3/credentials/{id}"), &by, ""),
        4 => Sketch::call("PATCH", &format!("/v3/credentials/{id}"), &by, &pair),
        5 => Sketch::call("DELETE", &format!("{os_ec2}/{access}"), &by, ""),
        6 => Sketch::call("POST", &os_ec2, &by, &json!({"tenant_id": place}).to_string()),
        7 => Sketch::call("POST", "/credentials", &by, &in_ibm.to_string()),
        _ => {
            let body = create(&victim, &place).to_string();
            Sketch::call("POST", "/v3/credentials", &by, &body)
        }
    };
    Shot::Request { class: "forbidden calls", sketch, forbidden: true }
}

fn with_token(dice: &mut Dice, sketch: Sketch, me: usize) -> Sketch {
    let mine = token(me);
    match dice.below(12) {
        0 => sketch,
        1 => sketch.header("X-Auth-Token", "nobodys"),
        2 => sketch.header("X-Auth-Token", ""),
        3 => sketch.header("X-Auth-Token", &*mine).header("X-Auth-Token", "nobodys"),
        4 => sketch.header("Authorization", format!("Bearer {mine}")),
        5 => {
            let pair = BASE64.encode(format!("{}:{mine}", user(me)).as_bytes());
            sketch.header("Authorization", format!("Basic {pair}"))
        }
        6 => sketch.header("X-Auth-Token", "x".repeat(1 + dice.below(9_000))),
        7 => sketch.header("X-Auth-Token", mine.to_uppercase()),
        _ => sketch.header("X-Auth-Token", mine),
    }
}

fn body(dice: &mut Dice, me: usize) -> Vec<u8> {
    match dice.below(8) {
        0 => Vec::new(),
        1 => {
            let depth = 1 << dice.below(14);
            let (open, close) = [("[", "]"), ("{\"a\":", "}"), ("<a>", "</a>")][dice.below(3)];
            format!("{}{}", open.repeat(depth), close.repeat(dice.below(2) * depth)).into_bytes()
        }
        2 => {
            let long = "x".repeat(1 << (8 + dice.below(10)));
            json!({"credential": {"type": "ec2", "blob": long, long.clone(): 1}})
                .to_string()
                .into_bytes()
        }
        3 => {
            let blob = json!({"access": dice.hex(), "secret": dice.hex()}).to_string();
            let whole = json!({"credential": {"type": dice.pick(&["ec2", "EC2", "", "cert"]),
                "blob": blob, "user_id": user(me), "project_id": project_of(me)}});
            let whole = whole.to_string().into_bytes();
            let end = if dice.one_in(2) { whole.len() } else { dice.below(whole.len()) };
            whole[..end].to_vec()
        }
        4 => {
            let length = dice.below(200);
            dice.bytes(length)
        }
        _ => dice.pick(&BODIES).to_vec(),
    }
}

/// An id, possibly modified.
pub(crate) fn respelled(dice: &mut Dice, id: &str) -> String {
    let hex = |prefix: &str, byte: u8| format!("{prefix}{byte:02x}");
    let encoded = |text: &str| text.bytes().map(|byte| hex("%", byte)).collect::<Vec<_>>().concat();
    match dice.below(24) {
        0 => id.to_uppercase(),
        1 => format!("{id}."),
        2 => format!("{id}.."),
        3 => encoded(id),
        4 => encoded(id).replace('%', "%25"),
        5 => format!("{id}%00"),
        6 => format!("{id}%ff"),
        7 => format!("{id}%"),
        8 => format!("{id}%zz"),
        9 => format!("../{id}"),
        10 => format!("./{id}"),
        11 => format!("%2e%2e%2f{id}"),
        12 => format!("{id}%2f.."),
        13 => format!("{id};a=b"),
        14 => format!("{id}%20"),
        15 => format!("%e2%80%8b{id}"),
        16 => format!("{id}%cc%81"),
        17 => id.bytes().map(|byte| hex("%ef%bc%", (byte & 0x3f) | 0x80)).collect(),
        18 => format!("{id}%0d%0aX-Injected:%20a"),
        19 => id.repeat(1 + dice.below(40)),
        20 => String::new(),
        _ => id.to_owned(),
    }
}
