//! What versions 0, 1 and 2 sign: the parameters.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{SignatureError, fields::Fields};

/// All that is encoded: everything but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The string to sign of version 0: action and time.
pub(super) fn v0(fields: &Fields<'_>) -> Result<String, SignatureError> {
    let param = |name| fields.param(name).ok_or(SignatureError::Incomplete);
    Ok([param("Action")?, param("Timestamp")?].concat())
}

/// The string to sign of version 1: names and values, sorted regardless of case.
pub(super) fn v1(fields: &Fields<'_>) -> String {
    let mut params: Vec<_> = fields.params().iter().collect();
    params.sort_by_cached_key(|(name, _)| name.to_lowercase());
    params.iter().flat_map(|(name, value)| [name.as_str(), value]).collect()
}

/// The string to sign of version 2. The method is HMAC-SHA256, whatever the client
/// says or does not say.
pub(super) fn v2(fields: &Fields<'_>, host: &str) -> Result<String, SignatureError> {
    let mut params = fields.params().clone();
    params.insert("SignatureMethod".into(), "HmacSHA256".into());
    let mut text = format!("{}\n{host}\n{}\n", fields.verb()?, fields.path()?);
    write_query(&mut text, &params);
    Ok(text)
}

/// Appends parameters as they are signed: by code point, encoded, joined by `&`.
pub(super) fn write_query<'a>(
    text: &mut String,
    params: impl IntoIterator<Item = (&'a String, &'a String)>,
) {
    for (index, (name, value)) in params.into_iter().enumerate() {
        let and = if index == 0 { "" } else { "&" };
        let [name, value] = [name, value].map(|part| utf8_percent_encode(part, RESERVED));
        write!(text, "{and}{name}={value}").expect("a string takes any text");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_query_is_sorted_by_code_point_and_encoded_but_for_unreserved_characters() {
        let params = [("b", "a b/c~d*e"), ("B", "-_.~"), ("ä", "+&="), ("Filter.1", "")];
        let params: BTreeMap<String, String> =
            params.map(|(name, value)| (name.into(), value.into())).into();
        let mut text = String::new();
        write_query(&mut text, &params);
        assert_eq!(text, "B=-_.~&Filter.1=&b=a%20b%2Fc~d%2Ae&%C3%A4=%2B%26%3D");
    }
}
