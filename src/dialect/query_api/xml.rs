//! Elements of XML.

use quick_xml::escape::partial_escape;

/// Elements that follow one another.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Xml(String);

impl Xml {
    pub(in crate::dialect) fn new() -> Self {
        Self::default()
    }

    /// Adds an element with a text. Leaves out the characters that XML cannot contain.
    pub(in crate::dialect) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        let text: String = text.chars().filter(|character| is_xml(*character)).collect();
        self.wrap(name, &partial_escape(text))
    }

    /// Adds an element with elements.
    pub(in crate::dialect) fn element(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Self),
    ) -> &mut Self {
        let mut inner = Self::new();
        write(&mut inner);
        self.wrap(name, &inner.0)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn wrap(&mut self, name: &str, content: &str) -> &mut Self {
        self.0.extend(["<", name, ">", content, "</", name, ">"]);
        self
    }
}

fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}
