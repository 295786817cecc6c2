//! Writing and reading XML documents.

use std::fmt::{Display, Write};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, Event},
};

use crate::{content::ContentBody, fault::Fault};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The maximum depth of elements in a request.
const MAX_DEPTH: usize = 8;

/// A document to write.
pub struct Xml(String);

/// An element that was read.
#[derive(Default)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Xml {
    /// Writes a document with this root element.
    pub fn document(root: &str, content: impl FnOnce(&mut Self)) -> Self {
        let mut xml = Self(DECLARATION.to_owned());
        // S3's errors have no namespace.
        let attribute = match root {
            "Error" => String::new(),
            _ => format!(" xmlns=\"{NAMESPACE}\""),
        };
        let _ = write!(xml.0, "<{root}{attribute}>");
        content(&mut xml);
        let _ = write!(xml.0, "</{root}>");
        xml
    }

    pub fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name}>");
        content(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// Writes an element that contains only text.
    pub fn text(&mut self, name: &str, text: impl Display) {
        self.element(name, |xml| xml.escaped(&text.to_string()));
    }

    pub fn into_response(self) -> Response<ContentBody> {
        let mut response = Response::new(ContentBody::bytes(Bytes::from(self.0)));
        let xml = HeaderValue::from_static("application/xml");
        response.headers_mut().insert(header::CONTENT_TYPE, xml);
        response
    }

    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // S3 writes these too, although XML 1.0 forbids most of them.
                '\0'..'\x20' | '\x7f' => {
                    let _ = write!(self.0, "&#{};", u32::from(character));
                }
                _ => self.0.push(character),
            }
        }
    }
}

impl Element {
    /// Reads a document with this root element. Ignores attributes and namespaces; rejects a
    /// document type.
    pub fn read(document: &[u8], root: &str) -> Result<Self, Fault> {
        let malformed = |_| Fault::malformed_xml();
        let text = std::str::from_utf8(document).map_err(|_| Fault::malformed_xml())?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        // The open elements, outermost first. The first one is the parent of the root.
        let mut open = vec![Self::default()];
        loop {
            let depth = open.len();
            let Some(innermost) = open.last_mut() else { return Err(Fault::malformed_xml()) };
            match reader.read_event().map_err(malformed)? {
                Event::Start(start) if depth <= MAX_DEPTH => {
                    let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                    open.push(Self { name, ..Self::default() });
                }
                Event::End(_) => {
                    let closed = open.pop().ok_or_else(Fault::malformed_xml)?;
                    open.last_mut().ok_or_else(Fault::malformed_xml)?.children.push(closed);
                }
                Event::Text(text) => {
                    innermost.text += &text.decode().map_err(|_| Fault::malformed_xml())?;
                }
                Event::CData(text) => {
                    innermost.text += &text.decode().map_err(|_| Fault::malformed_xml())?;
                }
                Event::GeneralRef(reference) => innermost.text.push_str(&resolved(&reference)?),
                Event::Decl(_) | Event::Comment(_) => {}
                Event::Eof if depth == 1 => break,
                _ => return Err(Fault::malformed_xml()),
            }
        }
        let found = open.pop().and_then(|mut outside| outside.children.pop());
        found.filter(|found| found.name == root).ok_or_else(Fault::malformed_xml)
    }

    /// The child elements with this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child element with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().map(|child| child.text.as_str())
    }
}

/// Resolves a reference to a character or a predefined entity.
fn resolved(reference: &BytesRef<'_>) -> Result<String, Fault> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| Fault::malformed_xml())? {
        return Ok(character.to_string());
    }
    let name = reference.decode().map_err(|_| Fault::malformed_xml())?;
    let text = resolve_predefined_entity(&name).ok_or_else(Fault::malformed_xml)?;
    Ok(text.to_owned())
}
