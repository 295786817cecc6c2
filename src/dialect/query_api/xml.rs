//! Elements of XML.

use quick_xml::escape::partial_escape;

/// Room for the credentials of a session without a policy.
const CAPACITY: usize = 1_024;

/// Elements that follow one another.
#[derive(Debug)]
pub(in crate::dialect) struct Xml(String);

impl Xml {
    pub(in crate::dialect) fn new() -> Self {
        Self(String::with_capacity(CAPACITY))
    }

    /// Adds an element with a text. Leaves out the characters that XML cannot contain.
    pub(in crate::dialect) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.element(name, |xml| {
            // Most texts are like this.
            if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
                xml.0.push_str(text);
            } else {
                let text: String = text.chars().filter(|character| is_xml(*character)).collect();
                xml.0.push_str(&partial_escape(text));
            }
        })
    }

    /// Adds an element with elements.
    pub(in crate::dialect) fn element(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.0.extend(["<", name, ">"]);
        write(self);
        self.0.extend(["</", name, ">"]);
        self
    }

    /// Adds the start of an element with a namespace. The caller ends it.
    pub(super) fn open(&mut self, name: [&str; 2], namespace: &str) -> &mut Self {
        self.0.extend(["<", name[0], name[1], " xmlns=\"", namespace, "\">"]);
        self
    }

    /// Adds elements.
    pub(super) fn all(&mut self, others: &Self) {
        self.0.push_str(&others.0);
    }

    /// Ends an element.
    pub(super) fn close(mut self, name: [&str; 2]) -> String {
        self.0.extend(["</", name[0], name[1], ">"]);
        self.0
    }
}

/// Without branches, so that the compiler vectorizes the loop.
#[expect(clippy::needless_bitwise_bool, reason = "a branch keeps the compiler from vectorizing")]
fn is_plain(byte: u8) -> bool {
    (byte.wrapping_sub(b' ') < 0x5f) & (byte != b'<') & (byte != b'>') & (byte != b'&')
}

fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_input_cannot_add_elements() {
        let mut xml = Xml::new();
        xml.text("A", "<x>&\"\u{0}\u{8}'y\n\u{e4}").element("B", |xml| _ = xml.text("C", "d"));
        assert_eq!(xml.0, "<A>&lt;x&gt;&amp;\"'y\n\u{e4}</A><B><C>d</C></B>");
    }
}
