//! Compares the responses of Keystone and of a front.

use std::{fmt::Write as _, sync::Arc};

use http::Request;
use http_body_util::Full;
use serde_json::Value;
use test_support::process::Running;
use tokio::sync::Mutex;

use crate::{
    cast::{Cast, delete_credentials},
    front::Front,
    http::{Answer, Client},
    lab,
    normal::{Names, differences, normal},
    people::Admin,
};

const DIFFERENCES: &str = include_str!("../../../../docs/keystone-differences.md");

/// A request to both servers. `<name>` in its path and body is replaced by an id.
pub(crate) struct Row {
    what: &'static str,
    who: &'static str,
    call: &'static str,
    body: &'static str,
    content_type: &'static str,
    keep: &'static [(&'static str, &'static str)],
    differs: Option<Differs>,
}

/// An intended difference.
struct Differs {
    why: &'static str,
    keystone: u16,
    front: u16,
    /// The members that differ, if the statuses are equal.
    at: &'static [&'static str],
}

/// The members that differ for an unknown method.
pub(crate) const METHOD: &[&str] = &["body.error", "body.message"];
pub(crate) const METHOD_WHY: &str = "the front's errors all have one shape";

/// A row: a description, the caller, and method and path under `/v3`.
pub(crate) const fn row(what: &'static str, who: &'static str, call: &'static str) -> Row {
    let content_type = "application/json";
    Row { what, who, call, body: "", content_type, keep: &[], differs: None }
}

impl Row {
    pub(crate) const fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    pub(crate) const fn content_type(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }

    /// Names values in the response, which differ between the servers.
    pub(crate) const fn keep(self, keep: &'static [(&'static str, &'static str)]) -> Self {
        Self { keep, ..self }
    }

    /// Expects different statuses of Keystone and the front.
    pub(crate) const fn status(self, keystone: u16, front: u16, why: &'static str) -> Self {
        Self { differs: Some(Differs { why, keystone, front, at: &[] }), ..self }
    }

    /// Expects equal statuses, and differences at exactly these places.
    pub(crate) const fn differs(
        self,
        status: u16,
        at: &'static [&'static str],
        why: &'static str,
    ) -> Self {
        Self { differs: Some(Differs { why, keystone: status, front: status, at }), ..self }
    }
}

/// The two servers.
struct Stage {
    cast: Arc<Cast>,
    sides: [Side; 2],
    #[expect(dead_code, reason = "runs as long as the stage")]
    front: Running,
}

/// A server with its names.
struct Side {
    client: Client,
    url: String,
    names: Names,
}

/// Sends all rows to both servers, and compares the responses.
pub(crate) async fn compare(rows: &[Row]) {
    // All tables share the cast until its tokens are invalidated. They run one after the other.
    static CAST: Mutex<Option<(usize, Arc<Cast>)>> = Mutex::const_new(None);
    let Some(turn) = lab::shared().await else { return };
    let mut cast = CAST.lock().await;
    let admin = turn.lab.admin().await;
    let age = turn.lab.rotations();
    if cast.as_ref().is_none_or(|(hired, _)| *hired != age) {
        *cast = Some((age, Arc::new(Cast::new(&admin).await)));
    }
    let (_, hired) = cast.as_ref().unwrap();
    let mut stage = Stage::new(turn.lab, &admin, Arc::clone(hired)).await;
    let mut failures = String::new();
    for row in rows {
        if let Some(Differs { why, .. }) = &row.differs {
            assert!(DIFFERENCES.contains(why), "docs/keystone-differences.md lacks {why:?}");
        }
        let (keystone, front) = stage.both(row).await;
        let statuses = (keystone["status"].as_u64(), front["status"].as_u64());
        let found = differences(&keystone, &front);
        let report = || {
            let lines = found.iter().map(|(at, how)| format!("    {at}: {how}\n"));
            lines.collect::<String>()
        };
        let (what, who, call) = (row.what, row.who, row.call);
        let is_expected = match &row.differs {
            None => found.is_empty(),
            Some(Differs { keystone, front, at, .. }) => {
                statuses == (Some((*keystone).into()), Some((*front).into()))
                    && (keystone != front || found.keys().eq(at.iter()))
            }
        };
        if !is_expected {
            let why = row.differs.as_ref().map_or("nothing", |differs| differs.why);
            let _ = writeln!(failures, "{what} ({who}, {call}); expected: {why}\n{}", report());
        }
    }
    let differ = rows.iter().filter(|row| row.differs.is_some()).count();
    println!("{} exchanges compared, {differ} have intended differences", rows.len());
    assert!(failures.is_empty(), "Keystone / front:\n{failures}");
}

impl Stage {
    async fn new(lab: &'static lab::Lab, admin: &Admin, cast: Arc<Cast>) -> Self {
        for who in ["ann", "bob", "reader"] {
            delete_credentials(admin, &cast.names[who]).await;
        }
        let front = Front::of(lab).start(&[]).await;
        let side = |url: &str| Side {
            client: Client::new(url),
            url: url.to_owned(),
            names: cast.names.clone(),
        };
        let sides = [side(&lab.url), side(&front.url)];
        Self { cast, sides, front }
    }

    async fn both(&mut self, row: &Row) -> (Value, Value) {
        let token = match row.who {
            "nobody" => "",
            "a made-up token" => "gAAAAABmade-up",
            who => self.cast.tokens.get(who).unwrap_or_else(|| panic!("nobody is {who}")),
        };
        let [keystone, front] = &mut self.sides;
        (keystone.exchange(row, token).await, front.exchange(row, token).await)
    }
}

impl Side {
    async fn exchange(&mut self, row: &Row, token: &str) -> Value {
        let (method, path) = row.call.split_once(' ').unwrap();
        let fill = |text: &str| {
            let with = |text: String, (name, value): (&String, &String)| {
                text.replace(&format!("<{name}>"), value)
            };
            self.names.iter().fold(text.to_owned(), with)
        };
        let mut request = Request::builder().method(method);
        request = request.uri(format!("{}/v3{}", self.url, fill(path)));
        if !token.is_empty() {
            request = request.header("X-Auth-Token", token);
        }
        let body = fill(row.body);
        if !body.is_empty() && !row.content_type.is_empty() {
            request = request.header("Content-Type", row.content_type);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let answer = self.client.try_send(request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", row.what));
        self.keep(row, &answer);
        let mut normal = normal(&answer, &self.url, &self.names);
        // Ignores the front's copies in Keystone.
        if let Some(listed) = normal.pointer_mut("/body/credentials").and_then(Value::as_array_mut)
        {
            listed.retain(|one| one.get("front_credential_id").is_none());
        }
        normal
    }

    fn keep(&mut self, row: &Row, answer: &Answer) {
        for (name, at) in row.keep {
            let kept = serde_json::from_slice::<Value>(&answer.body).ok();
            let kept = kept.as_ref().and_then(|body| body.pointer(at)?.as_str());
            let kept = kept.unwrap_or_else(|| panic!("{}: no {at} in {answer:?}", row.what));
            self.names.insert((*name).to_owned(), kept.to_owned());
        }
    }
}
