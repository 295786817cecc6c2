//! The XML of v2.0.

use std::fmt::Write;

use quick_xml::{
    NsReader, XmlVersion,
    escape::escape,
    events::{BytesStart, Event},
    name::ResolveResult,
};

use super::entry::{Entry, Parsed, one_of};
use crate::{
    dialect::v2_names::{self, ATOM, IDENTITY},
    domain::{Blob, SecretText, Slot},
    error::Error,
};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Parses one credential element, which must be the whole document and empty.
///
/// Rejects a document type before anything in it could be expanded. Only the predefined
/// entities and character references are known.
pub(super) fn read(body: &[u8]) -> Result<Parsed, Error> {
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut parsed, mut open) = (None, false);
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|_| malformed())?;
        match event {
            Event::Start(element) if parsed.is_none() => {
                let ResolveResult::Bound(namespace) = namespace else { return Err(unknown()) };
                let name = element.local_name();
                let slot = v2_names::slot_of_element(name.as_ref(), namespace.as_ref());
                parsed = Some(attributes(slot.ok_or_else(unknown)?, &element)?);
                open = true;
            }
            Event::End(_) if open => open = false,
            Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
            Event::Decl(_) if parsed.is_none() => {}
            Event::Comment(_) => {}
            Event::Eof if !open => return parsed.ok_or_else(malformed),
            _ => return Err(malformed()),
        }
    }
}

fn attributes(slot: Slot, element: &BytesStart<'_>) -> Result<Parsed, Error> {
    let (mut username, mut password, mut secret, mut key, mut signature) =
        (None, None, None, None, None);
    for attribute in element.attributes() {
        // The parser rejects duplicate attributes here.
        let attribute = attribute.map_err(|_| malformed())?;
        let member = match attribute.key.as_ref() {
            b"username" => &mut username,
            b"password" => &mut password,
            b"secret" => &mut secret,
            b"key" => &mut key,
            b"signature" => &mut signature,
            name if slot != Slot::Password && names_delegation(name) => {
                return Err(Error::bad_request("A delegation cannot be set here."));
            }
            _ => continue,
        };
        *member = Some(
            attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| malformed())?
                .into_owned(),
        );
    }
    let secret = match slot {
        Slot::Password => password.as_deref(),
        Slot::Ec2 | Slot::S3 => one_of(key.as_deref(), secret.as_deref())?,
    };
    Ok(Parsed {
        slot,
        username,
        secret: secret.map(SecretText::new),
        signature: signature.map(SecretText::new),
    })
}

fn names_delegation(name: &[u8]) -> bool {
    Blob::DELEGATION.iter().any(|member| member.as_bytes() == name)
}

fn malformed() -> Error {
    Error::bad_request("The body is not valid XML.")
}

fn unknown() -> Error {
    Error::bad_request("The root element names no type of credential.")
}

/// One credential.
pub(super) fn one(entry: &Entry<'_>) -> Vec<u8> {
    let mut body = String::from(DECLARATION);
    element(&mut body, entry);
    body.push('\n');
    body.into_bytes()
}

/// A page of credentials.
pub(super) fn many<'a>(entries: impl Iterator<Item = Entry<'a>>, next: Option<&str>) -> Vec<u8> {
    let mut body = format!("{DECLARATION}<credentials xmlns=\"{IDENTITY}\">");
    for entry in entries {
        element(&mut body, &entry);
    }
    if let Some(href) = next {
        push(
            &mut body,
            format_args!("<link xmlns=\"{ATOM}\" rel=\"next\" href=\"{}\"/>", escape(href)),
        );
    }
    body.push_str("</credentials>\n");
    body.into_bytes()
}

/// A fault.
pub(super) fn fault(name: &str, code: u16, message: &str) -> Vec<u8> {
    let message = escape(message);
    format!(
        "{DECLARATION}<{name} xmlns=\"{IDENTITY}\" code=\"{code}\">\
         <message>{message}</message></{name}>\n"
    )
    .into_bytes()
}

fn element(body: &mut String, entry: &Entry<'_>) {
    let (name, namespace) = v2_names::element_of(entry.slot);
    push(body, format_args!("<{name} xmlns=\"{namespace}\""));
    let attributes =
        [("username", Some(entry.username)), ("key", entry.secret), ("signature", entry.signature)];
    for (attribute, value) in attributes {
        if let Some(value) = value {
            push(body, format_args!(" {attribute}=\"{}\"", escape(value)));
        }
    }
    body.push_str("/>");
}

fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EC2: &str = "http://docs.openstack.org/identity/api/ext/OS-KSEC2/v1.0";

    #[test]
    fn qualified_element_is_parsed_with_predefined_entities() {
        let body = format!(
            "<?xml version=\"1.0\"?><!-- c --><a:ec2Credentials xmlns:a=\"{EC2}\" \
             username=\"amy\" key=\"a&amp;b&#33;\" signature=\"\"> </a:ec2Credentials>\n"
        );
        let parsed = read(body.as_bytes()).unwrap();
        assert_eq!(parsed.slot, Slot::Ec2);
        assert_eq!(parsed.secret.unwrap().expose(), "a&b!");
    }

    #[test]
    fn hostile_and_broken_documents_are_rejected() {
        let good =
            format!("<ec2Credentials xmlns=\"{EC2}\" username=\"a\" key=\"b\" signature=\"c\"/>");
        assert!(read(good.as_bytes()).is_ok());
        let entity =
            format!("<!DOCTYPE x [<!ENTITY e \"boom\">]>{}", good.replace("\"b\"", "\"&e;\""));
        for bad in [
            String::new(),
            "   ".into(),
            entity,
            format!("<!DOCTYPE ec2Credentials SYSTEM \"file:///etc/passwd\">{good}"),
            good.replace("\"b\"", "\"&undefined;\""),
            good.replace("/>", ">"),
            good.replace("/>", "></s3Credentials>"),
            good.replace("/>", "><x/></ec2Credentials>"),
            good.replace("/>", ">text</ec2Credentials>"),
            good.replace("key=", "username="),
            good.replace("OS-KSEC2", "OS-KSS3"),
            good.replace("xmlns", "xmlna"),
            good.replace("ec2Credentials", "credentials"),
            format!("{good}{good}"),
            format!("{good}trailing"),
            format!("<a:ec2Credentials xmlns=\"{EC2}\" username=\"a\"/>"),
            format!("<![CDATA[{good}]]>"),
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(b"\xff\xfe<\0").is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = read(&body);
        }

        #[test]
        fn no_document_makes_the_parser_panic(body in "(<|>|/|!|\\?|\"|'|=|&|;|xmlns|a| |-|\\[|\\]){0,40}") {
            let _ = read(body.as_bytes());
        }

        #[test]
        fn rendered_entry_is_parsed_again(username in "[!-~]{1,20}", key in "[ -~]{1,20}") {
            let entry = Entry {
                slot: Slot::S3, username: &username, secret: Some(&key), signature: Some("s"),
            };
            let parsed = read(&one(&entry)).unwrap();
            prop_assert_eq!(parsed.username.unwrap(), username);
            prop_assert_eq!(parsed.secret, Some(SecretText::new(key)));
        }
    }
}
