//! Renders v3 credentials.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    authority::{LastUsed, Outcome, View},
    dialect::{
        context::RenderContext,
        keystone::{self, Frame},
        last_used::{self, LastUse},
        links::{self, Links},
    },
    domain::{Blob, ProjectId},
};

pub(in crate::dialect) fn outcome(
    outcome: &Outcome,
    frame: &Frame,
    context: &RenderContext<'_>,
) -> Response<Full<Bytes>> {
    let base = frame.base(context);
    let one = |view| One { credential: Shape { view, base: &base } };
    match outcome {
        Outcome::Created(view) => frame.body(StatusCode::CREATED, &one(view)),
        Outcome::Deleted => keystone::empty(StatusCode::NO_CONTENT),
        Outcome::Listed(listing) => {
            let shape = |view| Shape { view, base: &base };
            let credentials = listing.views.iter().map(shape).collect();
            let url = format!("{base}/credentials");
            let links = Links::new(url, context.head.uri.query(), listing.next.as_deref());
            let truncated = listing.next.is_some();
            frame.body(StatusCode::OK, &Many { credentials, links, truncated })
        }
        Outcome::Shown(view) | Outcome::Updated(view) => frame.body(StatusCode::OK, &one(view)),
    }
}

#[derive(Serialize)]
struct One<'a> {
    credential: Shape<'a>,
}

#[derive(Serialize)]
struct Many<'a> {
    credentials: Vec<Shape<'a>>,
    links: Links,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
struct SelfLink {
    #[serde(rename = "self")]
    own: String,
}

/// The credential object, attributes first.
struct Shape<'a> {
    view: &'a View,
    base: &'a str,
}

impl Serialize for Shape<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let credential = &self.view.credential;
        let mut map = serializer.serialize_map(None)?;
        let last_used = self.view.last_used;
        for (name, value) in &credential.attributes {
            // A member that was stored without a log is hidden while the layer has a log.
            if last_used == LastUsed::NoLog || name != last_used::NAME {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(last_use) = LastUse::of(last_used) {
            map.serialize_entry(last_used::NAME, &last_use)?;
        }
        map.serialize_entry("id", credential.id.as_str())?;
        map.serialize_entry("user_id", credential.user_id.as_str())?;
        let project_id = credential.project_id.as_ref().map(ProjectId::as_str);
        map.serialize_entry("project_id", &project_id)?;
        map.serialize_entry("type", credential.kind.as_str())?;
        let blob = if self.view.secret_visible {
            credential.blob()
        } else {
            credential.blob_without_secret()
        };
        map.serialize_entry("blob", blob.as_ref().map_or("", Blob::expose))?;
        let id = links::encoded(credential.id.as_str());
        let own = format!("{}/credentials/{id}", self.base);
        map.serialize_entry("links", &SelfLink { own })?;
        map.end()
    }
}
