//! Records as rows of text and numbers, and back, for the engines that speak SQL.

use std::{borrow::Cow, time::SystemTime};

use zeroize::Zeroizing;

use crate::domain::{
    AccessKey, Attributes, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Slot,
    Status, Terms, UserId, Version, from_micros, to_micros,
};

use super::list::{Order, access_key_marker, expiry_marker, id_marker};

/// All columns, in the order in which rows are read and written: texts, followed by four
/// numbers.
pub(super) const COLUMNS: [&str; 16] = [
    "id",
    "kind",
    "user_id",
    "project_id",
    "slot",
    "access_key",
    "material",
    "status",
    "delegation",
    "attributes",
    "root_key",
    "terms",
    "created_at",
    "updated_at",
    "version",
    "expires_at",
];

// The indexes of the columns that are examined before a row is read.
pub(super) const ID: usize = 0;
pub(super) const KIND: usize = 1;
pub(super) const USER_ID: usize = 2;
pub(super) const PROJECT_ID: usize = 3;
pub(super) const ACCESS_KEY: usize = 5;
pub(super) const MATERIAL: usize = 6;
const EXPIRES_AT: usize = 15;

/// A record as an engine stores it. The caller builds it, so that the writing thread does not
/// spend time on it.
#[derive(Clone, PartialEq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) user_id: String,
    pub(super) project_id: Option<String>,
    pub(super) slot: Option<&'static str>,
    pub(super) access_key: Option<String>,
    pub(super) material: Zeroizing<String>,
    pub(super) status: &'static str,
    pub(super) delegation: Option<String>,
    pub(super) attributes: String,
    /// `yes` or `no` if user and project have equal ids; `None` in rows of earlier releases.
    pub(super) root_key: Option<&'static str>,
    /// All terms but the expiry.
    pub(super) terms: Option<String>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) version: i64,
    pub(super) expires_at: Option<i64>,
}

impl Row {
    /// Returns the row of a record, with its names encoded for the engine.
    pub(super) fn of(credential: &Credential, encode: impl Fn(&str) -> String) -> Self {
        // Destructured in full so that a new field cannot be forgotten here.
        let Credential {
            id,
            kind,
            user_id,
            project_id,
            slot,
            access_key,
            material,
            status: _,
            delegation,
            root_key: _,
            attributes,
            terms,
            created_at,
            updated_at,
            version,
        } = credential;
        let attributes = serde_json::to_string(attributes);
        Self {
            id: encode(id.as_str()),
            kind: encode(kind.as_str()),
            user_id: encode(user_id.as_str()),
            project_id: project_id.as_ref().map(|id| encode(id.as_str())),
            slot: slot.map(Slot::as_str),
            access_key: access_key.as_ref().map(|key| encode(key.as_str())),
            // These four are JSON, which escapes control characters.
            material: Zeroizing::new(material.encode().expose().into()),
            delegation: delegation.as_ref().map(Delegation::encode),
            attributes: attributes.expect("values with text for keys always serialize"),
            root_key: credential.stored_root_key().map(|root| if root { YES } else { NO }),
            terms: terms.encode(),
            status: credential.stored_status(),
            created_at: to_micros(*created_at),
            updated_at: to_micros(*updated_at),
            version: version_number(*version),
            expires_at: terms.expires_at().map(to_micros),
        }
    }
}

/// References to the columns of a row, in their order.
macro_rules! columns {
    ($row:expr) => {
        [
            &$row.id,
            &$row.kind,
            &$row.user_id,
            &$row.project_id,
            &$row.slot,
            &$row.access_key,
            // The driver copies it and does not wipe the copy.
            &*$row.material,
            &$row.status,
            &$row.delegation,
            &$row.attributes,
            &$row.root_key,
            &$row.terms,
            &$row.created_at,
            &$row.updated_at,
            &$row.version,
            &$row.expires_at,
        ]
    };
}

pub(super) use columns;

/// The values of the column `root_key`.
const YES: &str = "yes";
const NO: &str = "no";

/// Returns the number for the signed column; it is different for every version.
pub(super) fn version_number(version: Version) -> i64 {
    version.get().cast_signed()
}

/// A row of all columns from an engine. Errors are the name of the column that cannot be read.
pub(super) trait Columns {
    /// Returns the text as stored in the engine.
    fn raw(&self, column: usize) -> Result<Option<&str>, &'static str>;

    fn number(&self, column: usize) -> Result<Option<i64>, &'static str>;

    /// Returns the original of a name, which the engine may store in another form.
    fn optional_name(&self, column: usize) -> Result<Option<Cow<'_, str>>, &'static str>;

    fn credential(&self) -> Result<Credential, &'static str> {
        let root_key = match self.raw(10)? {
            None => None,
            Some(YES) => Some(true),
            Some(NO) => Some(false),
            Some(_) => return Err("root_key"),
        };
        let expires_at = match self.number(EXPIRES_AT)? {
            Some(micros) => Some(from_micros(micros).ok_or("expires_at")?),
            None => None,
        };
        let terms = Terms::decode(self.raw(11)?, expires_at).map_err(|_| "terms")?;
        let credential = Credential {
            id: CredentialId::from_stored(self.name(ID)?),
            kind: Kind::from_stored(self.name(KIND)?),
            user_id: UserId::from_stored(self.name(USER_ID)?),
            project_id: self.optional_name(PROJECT_ID)?.map(ProjectId::from_stored),
            slot: self.raw(4)?.map(|word| Slot::from_word(word).ok_or("slot")).transpose()?,
            access_key: self.optional_name(ACCESS_KEY)?.map(AccessKey::from_stored),
            material: Material::decode(self.text(MATERIAL)?).map_err(|_| "material")?,
            status: Status::from_stored(self.text(7)?, &terms).ok_or("status")?,
            delegation: self
                .raw(8)?
                .map(|text| Delegation::decode(text).ok_or("delegation"))
                .transpose()?,
            attributes: match self.text(9)? {
                "{}" => Attributes::new(),
                text => serde_json::from_str(text).map_err(|_| "attributes")?,
            },
            root_key,
            terms,
            created_at: self.time(12)?,
            updated_at: self.time(13)?,
            version: Version::from_stored(self.number(14)?.ok_or("version")?.cast_unsigned()),
        };
        Ok(credential.with_stored_root_key(root_key))
    }

    /// Returns the marker of the row in this order; the row must have one.
    fn marker(&self, order: Order) -> Result<String, &'static str> {
        Ok(match order {
            Order::ExpiresAt => {
                let micros = self.number(EXPIRES_AT)?.ok_or("expires_at")?;
                expiry_marker(micros, &self.name(ID)?)
            }
            Order::Key => match self.optional_name(ACCESS_KEY)? {
                Some(access_key) => access_key_marker(&access_key),
                None => id_marker(&self.name(ID)?),
            },
        })
    }

    fn text(&self, column: usize) -> Result<&str, &'static str> {
        self.raw(column)?.ok_or(COLUMNS[column])
    }

    fn name(&self, column: usize) -> Result<Cow<'_, str>, &'static str> {
        self.optional_name(column)?.ok_or(COLUMNS[column])
    }

    fn time(&self, column: usize) -> Result<SystemTime, &'static str> {
        self.number(column)?.and_then(from_micros).ok_or(COLUMNS[column])
    }
}
