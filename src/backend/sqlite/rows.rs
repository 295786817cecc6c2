//! Records as rows and back.

use std::time::SystemTime;

use rusqlite::{ToSql, types::ValueRef};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::backend::{BackendError, Change, ListQuery, Order};
use crate::domain::{
    AccessKey, Attributes, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Slot,
    Status, UserId, Version, from_micros, to_micros,
};

use super::error::CorruptRow;

/// All columns, in the order in which [`Row::values`] and [`read`] take them.
pub(super) const COLUMNS: [&str; 13] = [
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
    "created_at",
    "updated_at",
    "version",
];

// Where the columns are that are looked at before a row is read.
const ID: usize = 0;
const KIND: usize = 1;
const USER_ID: usize = 2;
const PROJECT_ID: usize = 3;
const ACCESS_KEY: usize = 5;

/// A record as the engine keeps it; made by the caller, so that the writer's one
/// thread does not spend its time on it.
#[derive(PartialEq)]
pub(super) struct Row {
    id: String,
    kind: String,
    user_id: String,
    project_id: Option<String>,
    slot: Option<&'static str>,
    access_key: Option<String>,
    material: Zeroizing<String>,
    status: &'static str,
    delegation: Option<String>,
    attributes: String,
    created_at: i64,
    updated_at: i64,
    version: i64,
}

impl Row {
    pub(super) fn of(credential: &Credential) -> Self {
        // Destructured in full so that a new field cannot be forgotten here.
        let Credential {
            id,
            kind,
            user_id,
            project_id,
            slot,
            access_key,
            material,
            status,
            delegation,
            attributes,
            created_at,
            updated_at,
            version,
        } = credential;
        Self {
            id: id.as_str().into(),
            kind: kind.as_str().into(),
            user_id: user_id.as_str().into(),
            project_id: project_id.as_ref().map(|id| id.as_str().into()),
            slot: slot.map(Slot::as_str),
            access_key: access_key.as_ref().map(|key| key.as_str().into()),
            material: Zeroizing::new(material.encode().expose().into()),
            status: status.as_str(),
            delegation: delegation.as_ref().map(Delegation::encode),
            attributes: json(attributes),
            created_at: to_micros(*created_at),
            updated_at: to_micros(*updated_at),
            version: version_number(*version),
        }
    }

    /// What there is to tell of writing it.
    pub(super) fn change(&self) -> Change {
        Change::Record {
            id: CredentialId::from_stored(self.id.as_str()),
            access_key: self.access_key.as_deref().map(AccessKey::from_stored),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn user_id(&self) -> &str {
        &self.user_id
    }

    pub(super) fn values(&self) -> [&dyn ToSql; COLUMNS.len()] {
        [
            &self.id,
            &self.kind,
            &self.user_id,
            &self.project_id,
            &self.slot,
            &self.access_key,
            // The engine takes a copy that nobody wipes; it is on its way to the
            // disk, where it is as readable.
            &*self.material,
            &self.status,
            &self.delegation,
            &self.attributes,
            &self.created_at,
            &self.updated_at,
            &self.version,
        ]
    }
}

/// Reads a row of all columns.
pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<Credential, BackendError> {
    Columns(row).credential().map_err(|column| corrupt(row, column))
}

fn corrupt(row: &rusqlite::Row<'_>, column: &'static str) -> BackendError {
    let id = Columns(row).text(ID).unwrap_or_default().into();
    BackendError::Corrupt(Box::new(CorruptRow { id, column }))
}

/// Whether a row of all columns passes the filters of a query.
///
/// Looks at the text alone, so that a row which is not asked for may be damaged in
/// its other columns. Where the filters' own columns cannot be read nobody can tell
/// whose row it is: it is admitted, to be reported when it is read.
pub(super) fn is_admitted(row: &rusqlite::Row<'_>, query: &ListQuery) -> bool {
    let columns = Columns(row);
    let passes = |column, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| columns.optional(column).map_or(true, |it| it == Some(wanted)))
    };
    passes(KIND, query.kind.as_ref().map(Kind::as_str))
        && passes(USER_ID, query.user_id.as_ref().map(UserId::as_str))
        && passes(PROJECT_ID, query.project_id.as_ref().map(ProjectId::as_str))
}

/// The marker of a row of all columns in this order, in which it has one.
pub(super) fn marker(row: &rusqlite::Row<'_>, order: Order) -> Result<String, BackendError> {
    let column = match order {
        Order::AccessKey => ACCESS_KEY,
        Order::Id => ID,
    };
    Columns(row).text(column).map(Into::into).map_err(|column| corrupt(row, column))
}

/// A number for the signed column; every version has one of its own.
pub(super) fn version_number(version: Version) -> i64 {
    version.get().cast_signed()
}

/// A row; what cannot be read is reported by the name of its column.
struct Columns<'a>(&'a rusqlite::Row<'a>);

impl Columns<'_> {
    fn credential(&self) -> Result<Credential, &'static str> {
        Ok(Credential {
            id: CredentialId::from_stored(self.text(ID)?),
            kind: Kind::from_stored(self.text(KIND)?),
            user_id: UserId::from_stored(self.text(USER_ID)?),
            project_id: self.optional(PROJECT_ID)?.map(ProjectId::from_stored),
            slot: self.optional(4)?.map(|word| Slot::from_word(word).ok_or("slot")).transpose()?,
            access_key: self.optional(ACCESS_KEY)?.map(AccessKey::from_stored),
            material: Material::decode(self.text(6)?).map_err(|_| "material")?,
            status: Status::from_word(self.text(7)?).ok_or("status")?,
            delegation: self
                .optional(8)?
                .map(|text| Delegation::decode(text).ok_or("delegation"))
                .transpose()?,
            attributes: match self.text(9)? {
                "{}" => Attributes::new(),
                text => serde_json::from_str(text).map_err(|_| "attributes")?,
            },
            created_at: self.time(10)?,
            updated_at: self.time(11)?,
            version: Version::from_stored(self.number(12)?.cast_unsigned()),
        })
    }

    fn optional(&self, column: usize) -> Result<Option<&str>, &'static str> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Text(text)) => str::from_utf8(text).map(Some).map_err(|_| COLUMNS[column]),
            _ => Err(COLUMNS[column]),
        }
    }

    fn text(&self, column: usize) -> Result<&str, &'static str> {
        self.optional(column)?.ok_or(COLUMNS[column])
    }

    fn number(&self, column: usize) -> Result<i64, &'static str> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Integer(number)) => Ok(number),
            _ => Err(COLUMNS[column]),
        }
    }

    fn time(&self, column: usize) -> Result<SystemTime, &'static str> {
        from_micros(self.number(column)?).ok_or(COLUMNS[column])
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("values with text for keys always serialise")
}
