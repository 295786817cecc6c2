//! The blob of a Keystone v3 credential.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{AccessKey, Delegation, SecretKey, SecretText};

/// The members of a key pair's blob that no update may change.
const FIXED: [&str; 4] = ["trust_id", "app_cred_id", "access_token_id", "access_id"];

/// The text of a Keystone v3 blob, byte for byte, and the secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    text: SecretText,
    secret: Option<SecretKey>,
}

impl Blob {
    /// The members of a key pair's blob that name the delegation of the key pair.
    pub(crate) const DELEGATION: [&str; 3] = ["trust_id", "app_cred_id", "access_token_id"];

    /// Creates a blob. If the text is the JSON text of an object with a string member `secret`
    /// that is not empty, that is its secret key. Any other text is opaque.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = SecretText::new(text);
        let secret = match members(&text).remove("secret") {
            // Every client could sign with an empty secret.
            Some(Value::String(secret)) if !secret.is_empty() => {
                Some(SecretKey::from_stored(secret))
            }
            _ => None,
        };
        Self { text, secret }
    }

    /// Creates the blob of a key pair, in the form in which Keystone's OS-EC2 writes it.
    ///
    /// ```
    /// use tower_credentials::domain::{AccessKey, Blob, SecretKey};
    ///
    /// let access_key = AccessKey::new("a1b2").unwrap();
    /// let secret_key = SecretKey::new("c3d4").unwrap();
    /// let blob = Blob::of_pair(&access_key, Some(&secret_key), None);
    /// assert_eq!(blob.expose(), r#"{"access": "a1b2", "secret": "c3d4", "trust_id": null}"#);
    /// ```
    #[must_use]
    pub fn of_pair(
        access_key: &AccessKey,
        secret_key: Option<&SecretKey>,
        delegation: Option<&Delegation>,
    ) -> Self {
        let text = BlobText::Pair { access: access_key.as_str(), secret: secret_key, delegation };
        Self { text: SecretText::new(text.to_string()), secret: secret_key.cloned() }
    }

    /// Returns the text unchanged. The caller must not leak it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Returns the secret key in it, if there is one.
    #[must_use]
    pub fn secret_key(&self) -> Option<&SecretKey> {
        self.secret.as_ref()
    }

    /// Returns the access key in the blob of a key pair.
    ///
    /// # Errors
    ///
    /// [`InvalidBlob`]
    ///
    /// - if the text is not the JSON text of an object with a string `access` that is a valid
    ///   access key;
    /// - if `secret` is present, not null, and not a string with text;
    /// - if a member is duplicate: another parser might take the other value.
    pub fn access_key(&self) -> Result<AccessKey, InvalidBlob> {
        let Once(object) = serde_json::from_str(self.expose()).map_err(|_| InvalidBlob(()))?;
        let Some(Value::String(access_key)) = object.get("access") else {
            return Err(InvalidBlob(()));
        };
        match object.get("secret") {
            Some(Value::String(_)) if self.secret.is_some() => {}
            None | Some(Value::Null) => {}
            _ => return Err(InvalidBlob(())),
        }
        AccessKey::new(&**access_key).map_err(|_| InvalidBlob(()))
    }

    /// Checks that the blob of a key pair names no other delegation than this one. A member
    /// that is null counts as absent. The error is the name of the first member that names
    /// another delegation.
    pub(crate) fn names_no_other_delegation(
        &self,
        delegation: Option<&Delegation>,
    ) -> Result<(), &'static str> {
        let object = members(&self.text);
        let own = delegation.and_then(member);
        let is_foreign = |name: &&str| match object.get(*name) {
            None | Some(Value::Null) => false,
            Some(Value::String(id)) => own != Some((*name, id)),
            Some(_) => true,
        };
        Self::DELEGATION.into_iter().find(is_foreign).map_or(Ok(()), Err)
    }

    /// Returns the blob of a key pair that is created under this delegation: the blob names
    /// this delegation and no other. The text stays as it is if it does so already.
    pub(crate) fn bound_to(self, delegation: Option<&Delegation>) -> Self {
        let mut object = members(&self.text);
        let stamp = delegation.and_then(member);
        let wanted = |name: &str| {
            stamp.filter(|(stamped, _)| *stamped == name).map(|(_, id)| Value::from(id))
        };
        let fits =
            |name: &str| object.get(name).filter(|value| !value.is_null()) == wanted(name).as_ref();
        if Self::DELEGATION.into_iter().all(fits) {
            return self;
        }
        for name in Self::DELEGATION {
            match wanted(name) {
                Some(id) => drop(object.insert(name.into(), id)),
                None => drop(object.remove(name)),
            }
        }
        let text = Value::Object(object).to_string();
        Self { text: SecretText::new(text), secret: self.secret }
    }

    /// Returns whether the blob has a member `secret`, which may be null.
    pub(crate) fn has_secret(&self) -> bool {
        members(&self.text).contains_key("secret")
    }

    /// Returns the blob of a key pair without its secret. The other members stay.
    pub(crate) fn without_secret(&self) -> Self {
        let mut object = members(&self.text);
        object.remove("secret");
        Self::new(Value::Object(object).to_string())
    }

    /// Returns the blob with another key pair. The other members stay.
    pub(crate) fn with_pair(&self, access_key: &AccessKey, secret_key: &SecretKey) -> Self {
        let mut object = members(&self.text);
        object.insert("access".into(), access_key.as_str().into());
        object.insert("secret".into(), secret_key.expose().into());
        Self::new(Value::Object(object).to_string())
    }

    /// Checks that the members that no update may change are the same in both. A member that
    /// is null counts as absent. The error is the name of the first member that differs.
    pub(crate) fn same_origin(&self, other: &Self) -> Result<(), &'static str> {
        let (one, two) = (members(&self.text), members(&other.text));
        let given = |object: &Map<String, Value>, name: &str| {
            object.get(name).filter(|value| !value.is_null()).cloned()
        };
        match FIXED.into_iter().find(|name| given(&one, name) != given(&two, name)) {
            Some(name) => Err(name),
            None => Ok(()),
        }
    }

    /// Returns the delegation that the blob of a key pair names, as Keystone writes it. The
    /// blob does not contain whether an application credential is restricted, so it counts as
    /// restricted.
    ///
    /// # Errors
    ///
    /// [`InvalidBlob`] if the blob names two delegations, or an id is not a string: without the
    /// delegation the key would be too strong.
    pub fn delegation(&self) -> Result<Option<Delegation>, InvalidBlob> {
        let mut object = members(&self.text);
        let mut named = Self::DELEGATION
            .into_iter()
            .filter_map(|name| Some((name, object.remove(name).filter(|id| !id.is_null())?)));
        match (named.next(), named.next()) {
            (None, _) => Ok(None),
            (Some((name, Value::String(id))), None) => Ok(Some(match name {
                "trust_id" => Delegation::Trust { id },
                "app_cred_id" => Delegation::ApplicationCredential { id, restricted: true },
                _ => Delegation::AccessToken { id },
            })),
            _ => Err(InvalidBlob(())),
        }
    }
}

/// The text of a blob, written without a copy of it in memory. The caller must not leak it.
pub(crate) enum BlobText<'a> {
    /// The text that the client sent.
    Own(&'a Blob),
    /// The text of a key pair, in the form in which Keystone's OS-EC2 writes it.
    Pair { access: &'a str, secret: Option<&'a SecretKey>, delegation: Option<&'a Delegation> },
}

impl fmt::Debug for BlobText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobText(..)")
    }
}

impl fmt::Display for BlobText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (access, secret, delegation) = match *self {
            Self::Own(blob) => return f.write_str(blob.expose()),
            Self::Pair { access, secret, delegation } => (access, secret, delegation),
        };
        f.write_str("{\"access\": ")?;
        quote(f, access)?;
        if let Some(secret) = secret {
            f.write_str(", \"secret\": ")?;
            quote(f, secret.expose())?;
        }
        f.write_str(", \"trust_id\": ")?;
        match delegation.and_then(member) {
            Some(("trust_id", id)) => quote(f, id)?,
            Some((name, id)) => {
                write!(f, "null, \"{name}\": ")?;
                quote(f, id)?;
            }
            None => f.write_str("null")?,
        }
        f.write_str("}")
    }
}

/// Writes a JSON string. Most strings need no escapes.
fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    if text.bytes().any(|b| b < b' ' || matches!(b, b'"' | b'\\')) {
        let quoted = Zeroizing::new(Value::from(text).to_string());
        return f.write_str(&quoted);
    }
    f.write_str("\"")?;
    f.write_str(text)?;
    f.write_str("\"")
}

/// An error for text that is not the blob of a key pair.
///
/// The error does not contain the text, which may contain secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBlob(());

fixed_error!(InvalidBlob, "text is not the blob of a key pair");

/// An object without duplicate members.
struct Once(Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut object = Map::new();
        while let Some((name, value)) = members.next_entry()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Once(object))
    }
}

/// The members of an object's JSON text. Other text has no members.
fn members(text: &SecretText) -> Map<String, Value> {
    match serde_json::from_str(text.expose()) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The member in which Keystone keeps a delegation, and the id in it.
fn member(delegation: &Delegation) -> Option<(&'static str, &str)> {
    match delegation {
        Delegation::AccessToken { id } => Some(("access_token_id", id)),
        Delegation::ApplicationCredential { id, .. } => Some(("app_cred_id", id)),
        Delegation::Trust { id } => Some(("trust_id", id)),
        Delegation::Ec2Credential | Delegation::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust() -> Delegation {
        Delegation::Trust { id: "t1".into() }
    }

    #[test]
    fn blob_keeps_its_spacing_and_returns_its_secret() {
        let blob = Blob::new(r#"{ "secret" : "b" }"#);
        assert_eq!(blob.expose(), r#"{ "secret" : "b" }"#);
        assert_eq!(blob.secret_key().unwrap().expose(), "b");
        for opaque in ["", "[]", r#"{"secret":7}"#, r#"{"secret":""}"#, r#"{"access":"a"}"#] {
            assert!(Blob::new(opaque).secret_key().is_none(), "{opaque}");
        }
    }

    #[test]
    fn blob_of_a_key_pair_is_an_object_with_an_access_key() {
        for good in [r#"{"access":"a"}"#, r#"{"access":"a","secret":null,"x":{"x":1}}"#] {
            assert_eq!(Blob::new(good).access_key().unwrap().as_str(), "a", "{good}");
        }
        for bad in [
            "",
            "a",
            "[]",
            "{}",
            "{",
            r#"{"access":null}"#,
            r#"{"access":7}"#,
            r#"{"access":""}"#,
            r#"{"access":"a:b"}"#,
            r#"{"access":["a"]}"#,
            r#"{"access":"a","access":"b"}"#,
            r#"{"access":"a","secret":""}"#,
            r#"{"access":"a","secret":7}"#,
            r#"{"access":"a"} x"#,
        ] {
            assert_eq!(Blob::new(bad).access_key(), Err(InvalidBlob(())), "{bad}");
        }
    }

    #[test]
    fn blob_names_no_delegation_but_the_callers_own() {
        for (text, foreign) in [
            (r#"{"access":"a"}"#, None),
            (r#"{"access":"a","trust_id":null,"app_cred_id":null}"#, None),
            (r#"{"access":"a","trust_id":"t1"}"#, Some("trust_id")),
            (r#"{"access":"a","trust_id":""}"#, Some("trust_id")),
            (r#"{"access":"a","app_cred_id":7}"#, Some("app_cred_id")),
            (r#"{"access":"a","access_token_id":false}"#, Some("access_token_id")),
        ] {
            let named = Blob::new(text).names_no_other_delegation(None);
            assert_eq!(named.err(), foreign, "{text}");
        }
        let own = |text| Blob::new(text).names_no_other_delegation(Some(&trust()));
        assert_eq!(own(r#"{"trust_id":"t1"}"#), Ok(()));
        assert_eq!(own("{}"), Ok(()));
        assert_eq!(own(r#"{"trust_id":"T1"}"#), Err("trust_id"));
        assert_eq!(own(r#"{"trust_id":"t1","app_cred_id":"t1"}"#), Err("app_cred_id"));
        let unnamed = Blob::new(r#"{"trust_id":"t1"}"#);
        assert_eq!(unnamed.names_no_other_delegation(Some(&Delegation::Other)), Err("trust_id"));
    }

    #[test]
    fn bound_blob_names_its_delegation() {
        let plain = r#"{"access": "a", "trust_id": null}"#;
        assert_eq!(Blob::new(plain).bound_to(None).expose(), plain);
        let lie = Blob::new(r#"{"access":"a","trust_id":"x","app_cred_id":7,"z":[1]}"#);
        assert_eq!(lie.clone().bound_to(None).expose(), r#"{"access":"a","z":[1]}"#);
        let stamped = lie.bound_to(Some(&trust()));
        assert_eq!(stamped.expose(), r#"{"access":"a","trust_id":"t1","z":[1]}"#);
        assert_eq!(stamped.clone().bound_to(Some(&trust())), stamped);
        assert_eq!(stamped.delegation(), Ok(Some(trust())));
    }

    #[test]
    fn update_may_not_change_a_member_that_names_the_origin() {
        let stored = Blob::new(r#"{"access":"a","trust_id":"t1","access_id":null}"#);
        let same = Blob::new(r#"{"access":"b","secret":"s","trust_id":"t1"}"#);
        assert_eq!(stored.same_origin(&same), Ok(()));
        for (text, name) in [
            (r#"{"access":"a"}"#, "trust_id"),
            (r#"{"trust_id":"t2"}"#, "trust_id"),
            (r#"{"trust_id":"t1","app_cred_id":"x"}"#, "app_cred_id"),
            (r#"{"trust_id":"t1","access_token_id":"x"}"#, "access_token_id"),
            (r#"{"trust_id":"t1","access_id":"x"}"#, "access_id"),
            ("not json", "trust_id"),
        ] {
            assert_eq!(stored.same_origin(&Blob::new(text)), Err(name), "{text}");
        }
    }

    #[test]
    fn created_blob_names_the_delegation_and_quotes_its_members() {
        let access = AccessKey::new(r#"a"b"#).unwrap();
        let blob = Blob::of_pair(&access, None, Some(&trust()));
        assert_eq!(blob.expose(), r#"{"access": "a\"b", "trust_id": "t1"}"#);
        let token = Delegation::AccessToken { id: "o1".into() };
        let blob = Blob::of_pair(&access, None, Some(&token));
        assert_eq!(blob.delegation(), Ok(Some(token)));
    }

    #[test]
    fn blob_names_at_most_one_delegation_by_a_string() {
        for none in ["no JSON", "{}", r#"{"trust_id":null,"app_cred_id":null}"#] {
            assert_eq!(Blob::new(none).delegation(), Ok(None), "{none}");
        }
        let application = Blob::new(r#"{"trust_id":null,"app_cred_id":"a"}"#).delegation();
        let wanted = Delegation::ApplicationCredential { id: "a".into(), restricted: true };
        assert_eq!(application, Ok(Some(wanted)));
        for bad in [r#"{"trust_id":7}"#, r#"{"trust_id":"t","access_token_id":"o"}"#] {
            assert_eq!(Blob::new(bad).delegation(), Err(InvalidBlob(())), "{bad}");
        }
    }
}
