//! The body of `DeleteObjects`: the keys that it names.
//!
//! Source: Amazon S3 API Reference, `DeleteObjects`.

use quick_xml::{
    Reader,
    events::{BytesDecl, BytesStart, Event},
};

use super::{
    error::{OperationError, ambiguous},
    target,
};

/// The most objects of a request, as in S3.
const MAX_OBJECTS: usize = 1_000;

/// An object that `DeleteObjects` deletes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectToDelete {
    /// The key.
    pub key: String,
    /// The version. Without one, the current version is deleted.
    pub version_id: Option<String>,
    /// Whether the object is deleted only if its `ETag` matches, which reveals whether it does.
    pub has_etag: bool,
}

/// Parses the body of `DeleteObjects`. Strict keys are those of
/// [`S3OperationRules::strict_keys`](super::S3OperationRules::strict_keys).
///
/// Accepts only what every XML parser reads alike: the elements of the API, each once, references
/// of characters, and white space between elements.
pub(super) fn parse(body: &[u8], strict: bool) -> Result<Vec<ObjectToDelete>, OperationError> {
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    // The parser would skip a byte order mark.
    if text.starts_with('\u{feff}') {
        return Err(malformed());
    }
    let mut parser = Parser { reader: Reader::from_str(text), is_first: true };
    parser.reader.config_mut().check_end_names = true;
    match parser.next()? {
        Event::Start(root) if is_root(&root)? => {}
        _ => return Err(malformed()),
    }
    let (mut objects, mut is_quiet) = (Vec::new(), false);
    loop {
        match parser.next()? {
            Event::Start(element) if is_plain(&element, b"Object") => {
                if objects.len() == MAX_OBJECTS {
                    return Err(ambiguous("the body names more than 1,000 objects"));
                }
                objects.push(parser.object(strict)?);
            }
            Event::Start(element) if is_plain(&element, b"Quiet") && !is_quiet => {
                is_quiet = true;
                parser.text()?;
            }
            Event::End(_) => break,
            _ => return Err(malformed()),
        }
    }
    match parser.next()? {
        Event::Eof if !objects.is_empty() => Ok(objects),
        _ => Err(malformed()),
    }
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    /// Whether no element has been read.
    is_first: bool,
}

impl<'a> Parser<'a> {
    /// Returns the next event that is not white space.
    fn next(&mut self) -> Result<Event<'a>, OperationError> {
        loop {
            let position = self.reader.buffer_position();
            match self.reader.read_event().map_err(|_| malformed())? {
                Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                Event::Decl(declaration) if position == 0 && self.is_first => {
                    check_declaration(&declaration)?;
                }
                event @ (Event::Start(_) | Event::End(_) | Event::Eof) => {
                    self.is_first = false;
                    return Ok(event);
                }
                _ => return Err(malformed()),
            }
        }
    }

    /// Reads an object up to its end.
    fn object(&mut self, strict: bool) -> Result<ObjectToDelete, OperationError> {
        let mut members: [Option<String>; 5] = Default::default();
        loop {
            let member = match self.next()? {
                Event::Start(element) if element.attributes().next().is_none() => {
                    match element.name().as_ref() {
                        b"Key" => 0,
                        b"VersionId" => 1,
                        b"ETag" => 2,
                        b"Size" => 3,
                        b"LastModifiedTime" => 4,
                        _ => return Err(malformed()),
                    }
                }
                Event::End(_) => break,
                _ => return Err(malformed()),
            };
            let text = self.text()?;
            let is_empty = text.is_empty();
            match members.get_mut(member) {
                Some(free @ None) if !is_empty => *free = Some(text),
                _ => return Err(malformed()),
            }
        }
        let [key, version_id, etag, ..] = members;
        let key = key.ok_or(malformed())?;
        // Some parsers cut white space off, and turn a line break into another one.
        if key.trim() != key || key.contains('\r') {
            return Err(ambiguous("a key in the body begins or ends with white space"));
        }
        target::check_key(&key, strict)?;
        Ok(ObjectToDelete { key, version_id, has_etag: etag.is_some() })
    }

    /// Reads the text of an element, up to its end.
    fn text(&mut self) -> Result<String, OperationError> {
        let mut text = String::new();
        loop {
            match self.reader.read_event().map_err(|_| malformed())? {
                Event::Text(part) => {
                    text.push_str(&part.decode().map_err(|_| malformed())?);
                }
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|_| malformed())?;
                    text.push(match (character, &*reference) {
                        (Some(character), _) => character,
                        (None, b"amp") => '&',
                        (None, b"apos") => '\'',
                        (None, b"gt") => '>',
                        (None, b"lt") => '<',
                        (None, b"quot") => '"',
                        _ => return Err(malformed()),
                    });
                }
                Event::End(_) => return Ok(text),
                _ => return Err(malformed()),
            }
        }
    }
}

/// Returns whether an element is the root, with nothing but a namespace.
fn is_root(element: &BytesStart<'_>) -> Result<bool, OperationError> {
    for attribute in element.attributes() {
        if attribute.map_err(|_| malformed())?.key.as_ref() != b"xmlns" {
            return Err(malformed());
        }
    }
    Ok(element.name().as_ref() == b"Delete")
}

fn is_plain(element: &BytesStart<'_>, name: &[u8]) -> bool {
    element.name().as_ref() == name && element.attributes().next().is_none()
}

/// Checks that a declaration names no other encoding than UTF-8.
fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), OperationError> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case(b"utf-8") => Ok(()),
        Some(_) => Err(malformed()),
    }
}

const fn malformed() -> OperationError {
    ambiguous("the body is not the XML of DeleteObjects")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(body: &str) -> Option<Vec<String>> {
        let objects = parse(body.as_bytes(), true).ok()?;
        Some(objects.into_iter().map(|object| object.key).collect())
    }

    #[test]
    fn body_names_keys_versions_and_etags() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n\
            <Object><Key>a &amp; &#x62;&#99;</Key><VersionId>7</VersionId></Object>\
            <Object><ETag>&quot;e&quot;</ETag><Key>d/é</Key><Size>1</Size></Object>\
            <Quiet>true</Quiet></Delete>\n";
        let version_id = Some("7".to_owned());
        let expected = [
            ObjectToDelete { key: "a & bc".into(), version_id, has_etag: false },
            ObjectToDelete { key: "d/é".into(), version_id: None, has_etag: true },
        ];
        assert_eq!(parse(body.as_bytes(), true).unwrap(), expected);
    }

    #[test]
    fn body_that_parsers_read_differently_is_rejected() {
        let object = "<Object><Key>a</Key></Object>";
        assert_eq!(keys(&format!("<Delete>{object}</Delete>")), Some(vec!["a".to_owned()]));
        for body in [
            "",
            "<Delete></Delete>",
            "<Delete/>",
            "<delete><Object><Key>a</Key></Object></delete>",
            "<Delete><Object></Object></Delete>",
            "<Delete><Object><Key/></Object></Delete>",
            "<Delete><Object><Key></Key></Object></Delete>",
            "<Delete><Object><Key> a</Key></Object></Delete>",
            "<Delete><Object><Key>a\n</Key></Object></Delete>",
            "<Delete><Object><Key>a&#13;b</Key></Object></Delete>",
            "<Delete><Object><Key>a/../b</Key></Object></Delete>",
            "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
            "<Delete><Object><Key>a</Key><VersionId></VersionId></Object></Delete>",
            "<Delete><Object><Key>a<!-- --></Key></Object></Delete>",
            "<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>",
            "<Delete><Object><Key>&other;</Key></Object></Delete>",
            "<Delete><Object><Key>&#xD800;</Key></Object></Delete>",
            "<Delete><Object><Key x=\"1\">a</Key></Object></Delete>",
            "<Delete><Object><x:Key>a</x:Key></Object></Delete>",
            "<Delete><Object><Key>a</Key><Name>b</Name></Object></Delete>",
            "<Delete><Object><Key>a</Object></Key></Delete>",
            "<Delete a=\"1\"><Object><Key>a</Key></Object></Delete>",
            "<Delete>text<Object><Key>a</Key></Object></Delete>",
            "<Delete><?x?><Object><Key>a</Key></Object></Delete>",
            "<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
            "<!-- --><Delete><Object><Key>a</Key></Object></Delete>",
            "\u{feff}<Delete><Object><Key>a</Key></Object></Delete>",
            " <?xml version=\"1.0\"?><Delete><Object><Key>a</Key></Object></Delete>",
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete><Object><Key>a</Key></Object></Delete>",
            "<Delete><Object><Key>a</Key></Object></Delete><Delete/>",
            "<Delete><Object><Key>a</Key></Object>",
            "<Delete><Quiet>true</Quiet><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>",
        ] {
            assert_eq!(keys(body), None, "{body}");
        }
        let body = |count: usize| format!("<Delete>{}</Delete>", object.repeat(count));
        assert_eq!(keys(&body(1_000)).map(|keys| keys.len()), Some(1_000));
        assert_eq!(keys(&body(1_001)), None);
    }
}
