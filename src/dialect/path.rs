//! Parses paths and query strings.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::Error;

/// The rest of a path after a prefix of whole segments: `""`, or text that starts with `/`.
///
/// Compares the path as the client sent it. An encoded spelling of a prefix is not the
/// layer's path: with decoding first, the layer and the app would disagree about who owns
/// the path.
pub(super) fn after_prefix<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The bytes after the first slash of some prefixes. Most paths of an app have another byte there,
/// so that no prefix need be compared. The path `/` has the byte 0, which no other path has.
pub(crate) struct Initials([bool; 256]);

impl Initials {
    /// Collects the bytes of prefixes, of which one may be `/`.
    pub(crate) fn of<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut initials = [false; 256];
        for prefix in prefixes {
            initials[usize::from(initial(prefix))] = true;
        }
        Self(initials)
    }

    /// Returns false if the path starts with none of the prefixes.
    pub(crate) fn admit(&self, path: &str) -> bool {
        self.0[usize::from(initial(path))]
    }
}

opaque_debug!(Initials);

fn initial(path: &str) -> u8 {
    path.as_bytes().get(1).copied().unwrap_or(0)
}

/// Decodes a captured segment, once.
///
/// # Errors
///
/// A bad request if the segment has an encoded slash or control character, or is not
/// UTF-8.
pub(super) fn decode_segment(segment: &str) -> Result<String, Error> {
    // Most segments are not encoded.
    let is_plain = |b: u8| b.is_ascii_graphic() && b != b'%' && b != b'/';
    if segment.bytes().all(is_plain) {
        return Ok(segment.to_owned());
    }
    match percent_decode_str(segment).decode_utf8() {
        Ok(text) if !text.contains(|c: char| c.is_control() || c == '/') => Ok(text.into_owned()),
        _ => Err(Error::bad_request("The path holds a character that is not allowed.")),
    }
}

/// The first value of a query parameter, decoded (`+` is a space).
///
/// # Errors
///
/// A bad request if the value is not UTF-8.
pub(super) fn query_value(query: Option<&str>, name: &str) -> Result<Option<String>, Error> {
    for pair in query.unwrap_or_default().split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if is_name(key, name) {
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8().map(Cow::into_owned);
            return value.map(Some).map_err(|_| {
                Error::bad_request(format!("The query parameter {name} is not valid UTF-8."))
            });
        }
    }
    Ok(None)
}

/// Returns whether a key of a query, decoded, is this name. Names have no space and no `%`, so
/// an encoded key is longer.
fn is_name(key: &str, name: &str) -> bool {
    key == name
        || key.len() > name.len()
            && key.contains('%')
            && percent_decode_str(&key.replace('+', " ")).eq(name.bytes())
}

/// The page size in a query, if there is one.
///
/// # Errors
///
/// A bad request if it is not a whole number.
pub(super) fn query_limit(query: Option<&str>) -> Result<Option<usize>, Error> {
    let Some(text) = query_value(query, "limit")? else { return Ok(None) };
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::bad_request("limit must be a whole number from 0 up."));
    }
    // A number too large for the type exceeds the longest page anyway.
    Ok(Some(text.parse().unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefix_matches_only_whole_segments_as_sent() {
        assert_eq!(after_prefix("/credentials", "/credentials"), Some(""));
        assert_eq!(after_prefix("/credentials/x", "/credentials"), Some("/x"));
        for other in ["/credentialsx", "/Credentials", "/%63redentials", "//credentials", ""] {
            assert_eq!(after_prefix(other, "/credentials"), None, "{other}");
        }
    }

    #[test]
    fn initials_admit_every_path_that_starts_with_a_prefix() {
        let initials = Initials::of(["/credentials", "/v2.0", "/ä"]);
        for path in ["/credentials", "/credentials/x", "/v2.0/x", "/vase", "/ä/x"] {
            assert!(initials.admit(path), "{path}");
        }
        for path in ["", "/", "*", "/objects", "//credentials", "/%63redentials"] {
            assert!(!initials.admit(path), "{path}");
        }
    }

    #[test]
    fn segment_is_decoded_once_and_has_no_slash_or_control_character() {
        assert_eq!(decode_segment("a%3Ab").unwrap(), "a:b");
        assert_eq!(decode_segment("a%252Fb").unwrap(), "a%2Fb");
        assert_eq!(decode_segment("100%").unwrap(), "100%");
        for bad in ["a%2fb", "a%00", "%0a", "%7f", "%ff", "%c3%28"] {
            assert!(decode_segment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_in_a_query_are_decoded() {
        for (query, value) in [
            ("limit=1", Some("1")),
            ("l=0&%6Cimit=1&limit=2", Some("1")),
            ("%6c%69%6d%69%74=a+b%2b", Some("a b+")),
            ("limit", Some("")),
            ("limi%74t=1&limits=2&lim+t=3&limi=4&%ff=5&%=6&LIMIT=7", None),
        ] {
            assert_eq!(query_value(Some(query), "limit").unwrap().as_deref(), value, "{query}");
        }
    }

    #[test]
    fn limits_are_whole_numbers() {
        assert_eq!(query_limit(None).unwrap(), None);
        assert_eq!(query_limit(Some("a=b&limit=7")).unwrap(), Some(7));
        assert_eq!(query_limit(Some("limit=0")).unwrap(), Some(0));
        let many = query_limit(Some("limit=99999999999999999999999")).unwrap();
        assert_eq!(many, Some(usize::MAX));
        for bad in
            ["limit=-1", "limit=abc", "limit=", "limit", "limit=1.5", "limit=%31x", "limit=+1"]
        {
            assert!(query_limit(Some(bad)).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_the_parser_panic(query in ".{0,64}") {
            let _ = query_limit(Some(&query));
            let _ = query_value(Some(&query), "marker");
        }

        #[test]
        fn encoded_value_is_decoded_again(value in "[^\u{0}]{0,20}") {
            let encoded = percent_encoding::utf8_percent_encode(
                &value, percent_encoding::NON_ALPHANUMERIC);
            let query = format!("x=1&marker={encoded}");
            prop_assert_eq!(query_value(Some(&query), "marker").unwrap(), Some(value));
        }
    }
}
