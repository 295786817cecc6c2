//! Renders v3 credentials.

use std::{fmt, time::SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    authority::{LastUsed, Outcome, SecretView, View},
    dialect::{
        body::{self, Each, SelfLink},
        context::RenderContext,
        keystone::{self, Frame},
        last_used::{self, LastUse},
        links::{Encoded, Links},
        terms,
    },
    domain::{Blob, BlobText, ProjectId},
};

pub(in crate::dialect) fn outcome(
    outcome: &Outcome,
    frame: &Frame,
    context: &RenderContext<'_>,
) -> Response<Full<Bytes>> {
    let base = &*frame.base(context);
    let one =
        |status, view| frame.body(status, &One { credential: shape(view, base, context.now) }, 1);
    match outcome {
        Outcome::Created(view) => one(StatusCode::CREATED, view),
        Outcome::Deleted => keystone::empty(StatusCode::NO_CONTENT),
        Outcome::Listed(listing) => {
            let views = &*listing.views;
            let credentials = Each { views, shape: |view| shape(view, base, context.now) };
            let url = format!("{base}/credentials");
            let links = Links::new(url, context.head.uri.query(), listing.next.as_deref());
            let truncated = listing.next.is_some();
            frame.body(StatusCode::OK, &Many { credentials, links, truncated }, views.len())
        }
        Outcome::Shown(view) | Outcome::Updated(view) => one(StatusCode::OK, view),
    }
}

#[derive(Serialize)]
struct One<'a> {
    credential: Shape<'a>,
}

#[derive(Serialize)]
struct Many<T> {
    credentials: T,
    links: Links,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// The credential object, attributes first.
#[derive(Serialize)]
struct Shape<'a> {
    #[serde(flatten)]
    attributes: AttributesShape<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<LastUse>,
    id: &'a str,
    user_id: &'a str,
    project_id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(serialize_with = "body::display")]
    blob: Text<'a>,
    links: SelfLink<Url<'a>>,
    #[serde(flatten)]
    terms: terms::Shape<'a>,
}

/// The URL of a credential.
struct Url<'a> {
    base: &'a str,
    id: &'a str,
}

/// The attributes that no term replaces.
struct AttributesShape<'a>(Vec<(&'a String, &'a Value)>);

/// The text of a blob, or an empty text if no blob is shown.
enum Text<'a> {
    Changed(Blob),
    Empty,
    Stored(BlobText<'a>),
}

fn shape<'a>(view: &'a View, base: &'a str, now: SystemTime) -> Shape<'a> {
    let credential = &*view.credential;
    let terms = terms::Shape::of(credential, now);
    // A member that was stored without a log is hidden while the layer has a log.
    let is_shown = |name: &str| view.last_used == LastUsed::NoLog || name != last_used::NAME;
    let attributes = terms.others(&credential.attributes);
    let attributes = attributes.filter(|(name, _)| is_shown(name)).collect();
    let blob = match view.secret {
        SecretView::Once if credential.kind.is_ec2() => {
            credential.blob().map(|blob| Text::Changed(blob.without_secret()))
        }
        SecretView::Once | SecretView::Shown => credential.blob_text().map(Text::Stored),
        SecretView::Hidden => credential.blob_text_without_secret().map(Text::Stored),
    };
    let id = credential.id.as_str();
    Shape {
        attributes: AttributesShape(attributes),
        last_used: LastUse::of(view.last_used),
        id,
        user_id: credential.user_id.as_str(),
        project_id: credential.project_id.as_ref().map(ProjectId::as_str),
        kind: credential.kind.as_str(),
        blob: blob.unwrap_or(Text::Empty),
        links: SelfLink(Url { base, id }),
        terms,
    }
}

impl Serialize for AttributesShape<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(blob) => f.write_str(blob.expose()),
            Self::Empty => Ok(()),
            Self::Stored(text) => fmt::Display::fmt(text, f),
        }
    }
}

impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base)?;
        f.write_str("/credentials/")?;
        fmt::Display::fmt(&Encoded(self.id), f)
    }
}
