//! Media types.

use http::{HeaderMap, HeaderValue, header};

use crate::error::{Error, ErrorKind};

/// The formats that dialects use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Xml,
}

impl Format {
    /// Recognizes `application/json`, `application/xml`, `text/xml`, and types with their
    /// suffix (`application/vnd.openstack.identity-v2.0+json`).
    fn of(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let (main, sub) = essence.split_once('/')?;
        // The suffix follows the last plus sign.
        let base = sub.rsplit_once('+').map_or(sub, |(_, base)| base);
        let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
        if is(main, "application") && is(base, "json") {
            Some(Self::Json)
        } else if is(main, "application") && is(base, "xml") || is(essence, "text/xml") {
            Some(Self::Xml)
        } else {
            None
        }
    }
}

/// The content type that a request names.
pub(super) enum ContentType {
    Format(Format),
    Missing,
    Other,
}

pub(super) fn content_type(headers: &HeaderMap) -> ContentType {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return ContentType::Missing };
    match value.to_str().ok().and_then(Format::of) {
        Some(format) => ContentType::Format(format),
        None => ContentType::Other,
    }
}

/// Refuses a body that the request names as something other than JSON.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Error> {
    match content_type(headers) {
        ContentType::Format(Format::Json) | ContentType::Missing => Ok(()),
        ContentType::Format(Format::Xml) | ContentType::Other => {
            Err(Error::new(ErrorKind::UnsupportedMediaType, "The body must be application/json."))
        }
    }
}

/// The format of the body, if the request names exactly one content type, and that is known.
pub(super) fn sole_content_type(headers: &HeaderMap) -> Option<Format> {
    let mut named = headers.get_all(header::CONTENT_TYPE).iter();
    match (named.next(), named.next()) {
        (Some(value), None) => value.to_str().ok().and_then(Format::of),
        _ => None,
    }
}

/// The format that the client prefers; JSON if it does not say.
pub(super) fn preferred(headers: &HeaderMap) -> Format {
    let mut best = (Format::Json, 0.0);
    for range in headers.get_all(header::ACCEPT).iter().filter_map(text).flat_map(|s| s.split(','))
    {
        let weight = range.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
        });
        let weight: f32 = weight.unwrap_or(1.0);
        if let Some(format) = Format::of(range).filter(|_| weight > best.1) {
            best = (format, weight);
        }
    }
    best.0
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &'static str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(value));
        preferred(&headers)
    }

    #[test]
    fn known_format_with_the_greatest_weight_is_preferred_and_json_by_default() {
        assert_eq!(preferred(&HeaderMap::new()), Format::Json);
        assert_eq!(accept("application/xml"), Format::Xml);
        assert_eq!(accept("application/vnd.openstack.identity-v2.0+xml"), Format::Xml);
        assert_eq!(accept("application/json;q=0.5, application/xml"), Format::Xml);
        assert_eq!(accept("application/xml;q=0.5, application/json;q=0.9"), Format::Json);
        assert_eq!(accept("application/json, application/xml"), Format::Json);
        for vague in ["*/*", "text/html", "application/xml;q=0", "", ",;q", "application/xml;q=x"] {
            assert_eq!(accept(vague), Format::Json, "{vague}");
        }
    }
}
