//! S3 requests with invalid signatures or unusual targets.

use data_encoding::BASE64;
use serde_json::json;

use crate::{
    calls::respelled,
    hostile::{Sender, Shot},
    sign::{Sketch, Terms, stamp},
    signer,
    uses::bucket,
    world::Kind,
};

/// Keys that do not exist, or that would leave a folder.
const PATHS: [&str; 24] = [
    "/B/../secret/x",
    "/B/./x",
    "/B//etc/passwd",
    "//B/x",
    "/B/%2e%2e/x",
    "/B/..%2f..%2fx",
    "/B/%2e",
    "/B/a%00b",
    "/B/a%0ab",
    "/B/%ff%fe",
    "/B/%zz",
    "/B/%",
    "/B/a%5c..%5cb",
    "/B/a/",
    "/B/a//b",
    "/B/%e2%80%ae",
    "/B/x%c3%a9",
    "/%2e%2e/x",
    "/..",
    "/BUCKET/x",
    "/b/x",
    "/-/x",
    "/B%2fx",
    "/nowhere/x",
];

/// Queries of sub-resources and their parameters.
const QUERIES: [(&str, &str); 22] = [
    ("list-type", "2"),
    ("list-type", "9"),
    ("max-keys", "-1"),
    ("max-keys", "99999999999999999999"),
    ("prefix", "%00"),
    ("prefix", "..%2f"),
    ("continuation-token", "x%ff"),
    ("delimiter", "%2f"),
    ("encoding-type", "x"),
    ("acl", ""),
    ("policy", ""),
    ("delete", ""),
    ("location", ""),
    ("versioning", ""),
    ("versionId", "null"),
    ("uploadId", "x"),
    ("partNumber", "0"),
    ("partNumber", "10001"),
    ("tagging", ""),
    ("select", ""),
    ("response-content-type", "a%0d%0ab"),
    ("a%zz", "%"),
];

/// XML documents.
const BODIES: [&str; 8] = [
    "",
    "<Delete><Object><Key>object-1</Key></Object></Delete>",
    "<Delete><Object><Key>../x</Key></Object><Object/></Delete>",
    "<Delete><Object><Key>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]><Delete>&b;</Delete>",
    "<CompleteMultipartUpload><Part><PartNumber>-1</PartNumber></Part></CompleteMultipartUpload>",
    "{\"json\": true}",
    "\u{0}\u{1}\u{fffe}",
];

pub(crate) fn shot(sender: &mut Sender<'_>) -> Shot {
    match sender.dice.below(10) {
        0..4 => mutated(sender),
        4..8 => odd(sender),
        8 => foreign(sender),
        _ => form(sender),
    }
}

/// Invalid terms of a signature, or a change after signing.
fn mutated(sender: &mut Sender<'_>) -> Shot {
    let (host, key, me) = (sender.world.host().to_owned(), sender.own(), sender.me);
    let get = Sketch::new("GET", format!("/{}", bucket(me)));
    let dice = &mut sender.dice;
    let mut terms = Terms::default();
    let (access, secret) = (&*key.access, &*key.secret);
    let sketch = match dice.below(12) {
        0 => {
            terms.age = [960, 86_400, 700_000, 300_000_000, -960, -86_400][dice.below(6)];
            get.v4(&host, access, secret, &terms)
        }
        1 => {
            // Valid for too long, or expired.
            (terms.age, terms.expires) = match dice.below(7) {
                0 => (30 * 86_400, (34 * 86_400).to_string()),
                1 => (400, "300".into()),
                2 => (-2_000, "300".into()),
                3 => (0, "604801".into()),
                4 => (0, "-1".into()),
                5 => (0, "99999999999999999999".into()),
                _ => (0, dice.pick(&["", "x", "1e3", "%31%00"]).into()),
            };
            get.presigned(&host, access, secret, &terms)
        }
        2 => {
            terms.service = dice.pick(&["iam", "", "S3", "s3%00"]).into();
            get.v4(&host, access, secret, &terms)
        }
        3 => get.header("x-amz-security-token", "session").v4(&host, access, secret, &terms),
        4 => get.query("X-Amz-Security-Token", "session").presigned(&host, access, secret, &terms),
        5 => {
            let mut get = get.presigned(&host, access, secret, &terms);
            let n = dice.below(get.query.len());
            get.query[n].1.push('0');
            get
        }
        6 => {
            let mut get = get.presigned(&host, access, secret, &terms);
            let n = dice.below(get.query.len());
            get.query.remove(n);
            get
        }
        7 => {
            let mut get = get.v4(&host, access, secret, &terms);
            let n = dice.below(get.headers.len());
            get.headers[n].1.push('0');
            get
        }
        8 => {
            let mut get = get.v4(&host, access, secret, &terms);
            get.path += "/x";
            get
        }
        9 => get.v2(access, secret, [960, 86_400, 300_000_000, -960][dice.below(4)]),
        10 if sender.world.kind == Kind::Accesser => get.v2(access, secret, 0),
        _ => get.v4(&host, access, "a-wrong-secret", &terms),
    };
    Shot::Request { class: "mutated signatures", sketch, forbidden: true }
}

/// Correctly signed requests with unusual targets, headers and bodies.
fn odd(sender: &mut Sender<'_>) -> Shot {
    let (host, key, me) = (sender.world.host().to_owned(), sender.own(), sender.me);
    let dice = &mut sender.dice;
    let path = match dice.below(3) {
        0 => format!("/{}", bucket(me)),
        1 => format!("/{}/object-{}", bucket(me), dice.below(20)),
        _ => dice.pick(&PATHS).replace('B', &bucket(me)),
    };
    let methods = ["GET", "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "FROB"];
    let mut sketch = Sketch::new(dice.pick(&methods), path);
    // Does not delete the senders' bucket.
    if sketch.method == "DELETE" && sketch.path.matches('/').count() < 2 {
        sketch.method = "GET".into();
    }
    for _ in 0..dice.below(3) {
        let (name, value) = QUERIES[dice.below(QUERIES.len())];
        sketch = sketch.query(name, value);
    }
    let headers = [
        ("Range", "bytes=5-2"),
        ("Range", "bytes=-0"),
        ("If-None-Match", "*"),
        ("If-Modified-Since", "yesterday"),
        ("Content-MD5", "x"),
        ("x-amz-copy-source", "/nowhere/%zz"),
        ("x-amz-copy-source", "../../x"),
        ("x-amz-meta-a", "\u{e9}"),
        ("x-amz-acl", "public-read"),
        ("x-amz-checksum-crc32", "x"),
        ("x-amz-decoded-content-length", "-1"),
        ("Content-Encoding", "aws-chunked"),
        ("Content-Type", "a/b; c=\"\\"),
    ];
    for _ in 0..dice.below(2) {
        let (name, value) = headers[dice.below(headers.len())];
        sketch = sketch.header(name, value);
    }
    if matches!(&*sketch.method, "PUT" | "POST" | "PATCH") {
        sketch.body = match dice.below(3) {
            0 => "<a>".repeat(1 << dice.below(14)).into_bytes(),
            _ => dice.pick(&BODIES).as_bytes().to_vec(),
        };
    }
    let mut sketch = sketch.v4(&host, &key.access, &key.secret, &Terms::default());
    if dice.one_in(12) {
        let hashes = ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x", ""];
        sketch.headers.retain(|(name, _)| name != "x-amz-content-sha256");
        sketch = sketch.header("x-amz-content-sha256", dice.pick(&hashes));
    }
    Shot::Request { class: "odd S3", sketch, forbidden: false }
}

/// Another user's access key, without its secret.
fn foreign(sender: &mut Sender<'_>) -> Shot {
    let (host, own, foreign) = (sender.world.host().to_owned(), sender.own(), sender.foreign());
    let access = respelled(&mut sender.dice, &foreign.access);
    let get = Sketch::new("GET", format!("/{}", bucket(foreign.owner)));
    let terms = Terms::default();
    let sketch = match sender.dice.below(3) {
        0 => get.presigned(&host, &access, &own.secret, &terms),
        1 => get.v2(&access, &own.secret, 0),
        _ => get.v4(&host, &access, &own.secret, &terms),
    };
    Shot::Request { class: "foreign keys", sketch, forbidden: true }
}

/// A form upload with an invalid policy or signature.
fn form(sender: &mut Sender<'_>) -> Shot {
    let (key, bucket) = (sender.own(), bucket(sender.me));
    let dice = &mut sender.dice;
    let date = stamp(0);
    let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
    let expiration = dice.pick(&["2016-01-01T00:00:00Z", "soon", "2099-01-01T00:00:00Z"]);
    let policy = json!({"expiration": expiration, "conditions": [{"bucket": "another"}]});
    let policy = match dice.below(3) {
        0 => "!!!".into(),
        1 => BASE64.encode(&dice.bytes(40)),
        _ => BASE64.encode(policy.to_string().as_bytes()),
    };
    let signature = signer::v4(&key.secret, &scope, &policy);
    let fields = [
        ("key", "posted"),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", &format!("{}/{scope}", key.access)),
        ("x-amz-date", &date),
        ("policy", &policy),
        ("x-amz-signature", &signature),
        ("file", "content"),
    ];
    let left_out = dice.below(2 * fields.len());
    let fields = fields.iter().enumerate().filter(|(n, _)| *n != left_out);
    let head = "--b\r\nContent-Disposition: form-data; name=";
    let fields = fields.map(|(_, (name, value))| format!("{head}\"{name}\"\r\n\r\n{value}\r\n"));
    let mut body = fields.collect::<Vec<_>>().concat();
    body += dice.pick(&["--b--\r\n", "--b", "", "--c--\r\n"]);
    let sketch = Sketch::new("POST", format!("/{bucket}"))
        .header(
            "Content-Type",
            dice.pick(&["multipart/form-data; boundary=b", "multipart/form-data"]),
        )
        .body(body);
    Shot::Request { class: "forms", sketch, forbidden: true }
}
