//! Records as rows and back.

use std::time::SystemTime;

use tokio_postgres::types::ToSql;
use zeroize::Zeroizing;

use crate::backend::{BackendError, Order};
use crate::domain::{
    AccessKey, Attributes, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Slot,
    Status, UserId, Version, from_micros, to_micros,
};

use super::error::CorruptRow;
use super::statements::{COLUMNS, TEXTS};
use super::text::{original, stored};
use super::told;

// Where the columns are that are looked at before a row is read.
const ID: usize = 0;
const ACCESS_KEY: usize = 5;
const MATERIAL: usize = 6;

/// A record as the engine keeps it; made by the caller, who is one of many, so that
/// the task that writes does not spend its time on it.
#[derive(Clone)]
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
            id: stored(id.as_str()).into(),
            kind: stored(kind.as_str()).into(),
            user_id: stored(user_id.as_str()).into(),
            project_id: project_id.as_ref().map(|id| stored(id.as_str()).into()),
            slot: slot.map(Slot::as_str),
            access_key: access_key.as_ref().map(|key| stored(key.as_str()).into()),
            // These three are JSON, which writes control characters out.
            material: Zeroizing::new(material.encode().expose().into()),
            status: status.as_str(),
            delegation: delegation.as_ref().map(Delegation::encode),
            attributes: json(attributes),
            created_at: to_micros(*created_at),
            updated_at: to_micros(*updated_at),
            version: version_number(*version),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn user_id(&self) -> &str {
        &self.user_id
    }

    pub(super) fn version(&self) -> i64 {
        self.version
    }

    /// That it was written, ready to be told.
    pub(super) fn told(&self) -> String {
        told::record(&self.id, self.access_key.as_deref())
    }

    /// About how many bytes it takes on its way.
    pub(super) fn size(&self) -> usize {
        self.material.len() + self.attributes.len() + 512
    }

    /// One row for a copy.
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); COLUMNS.len()] {
        [
            &self.id,
            &self.kind,
            &self.user_id,
            &self.project_id,
            &self.slot,
            &self.access_key,
            // The driver takes a copy that nobody wipes.
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

/// Rows on their way into a statement: one array for each column.
pub(super) struct Arrays<'a> {
    texts: [Vec<Option<&'a str>>; TEXTS],
    numbers: [Vec<i64>; COLUMNS.len() - TEXTS],
}

impl<'a> Arrays<'a> {
    pub(super) fn of(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut arrays = Self { texts: Default::default(), numbers: Default::default() };
        for row in rows {
            let texts = [
                Some(&*row.id),
                Some(&*row.kind),
                Some(&*row.user_id),
                row.project_id.as_deref(),
                row.slot,
                row.access_key.as_deref(),
                Some(&**row.material),
                Some(row.status),
                row.delegation.as_deref(),
                Some(&*row.attributes),
            ];
            let numbers = [row.created_at, row.updated_at, row.version];
            arrays.texts.iter_mut().zip(texts).for_each(|(array, text)| array.push(text));
            arrays.numbers.iter_mut().zip(numbers).for_each(|(array, number)| array.push(number));
        }
        arrays
    }

    pub(super) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        let texts = self.texts.iter().map(|array| array as &(dyn ToSql + Sync));
        texts.chain(self.numbers.iter().map(|array| array as _)).collect()
    }
}

/// Reads a row of all columns.
pub(super) fn read(row: &tokio_postgres::Row) -> Result<Credential, BackendError> {
    Columns(row).credential().map_err(|column| corrupt(row, column))
}

/// Whether a row came with all that it has.
pub(super) fn is_whole(row: &tokio_postgres::Row) -> bool {
    !matches!(row.try_get::<_, Option<&str>>(MATERIAL), Ok(None))
}

/// The marker of a row of all columns in this order, in which it has one.
pub(super) fn marker(row: &tokio_postgres::Row, order: Order) -> Result<String, BackendError> {
    let column = match order {
        Order::AccessKey => ACCESS_KEY,
        Order::Id => ID,
    };
    Columns(row).text(column).map_err(|column| corrupt(row, column))
}

fn corrupt(row: &tokio_postgres::Row, column: &'static str) -> BackendError {
    let id = Columns(row).text(ID).unwrap_or_default();
    BackendError::Corrupt(Box::new(CorruptRow { id, column }))
}

/// A number for the signed column; every version has one of its own.
pub(super) fn version_number(version: Version) -> i64 {
    version.get().cast_signed()
}

/// A row; what cannot be read is reported by the name of its column.
struct Columns<'a>(&'a tokio_postgres::Row);

impl Columns<'_> {
    fn credential(&self) -> Result<Credential, &'static str> {
        Ok(Credential {
            id: CredentialId::from_stored(self.text(ID)?),
            kind: Kind::from_stored(self.text(1)?),
            user_id: UserId::from_stored(self.text(2)?),
            project_id: self.optional(3)?.map(ProjectId::from_stored),
            slot: self.raw(4)?.map(|word| Slot::from_word(word).ok_or("slot")).transpose()?,
            access_key: self.optional(ACCESS_KEY)?.map(AccessKey::from_stored),
            material: Material::decode(self.needed(MATERIAL)?).map_err(|_| "material")?,
            status: Status::from_word(self.needed(7)?).ok_or("status")?,
            delegation: self
                .raw(8)?
                .map(|text| Delegation::decode(text).ok_or("delegation"))
                .transpose()?,
            attributes: match self.needed(9)? {
                "{}" => Attributes::new(),
                text => serde_json::from_str(text).map_err(|_| "attributes")?,
            },
            created_at: self.time(10)?,
            updated_at: self.time(11)?,
            version: Version::from_stored(self.number(12)?.cast_unsigned()),
        })
    }

    fn raw(&self, column: usize) -> Result<Option<&str>, &'static str> {
        self.0.try_get(column).map_err(|_| COLUMNS[column])
    }

    fn needed(&self, column: usize) -> Result<&str, &'static str> {
        self.raw(column)?.ok_or(COLUMNS[column])
    }

    fn optional(&self, column: usize) -> Result<Option<String>, &'static str> {
        let text = self.raw(column)?;
        text.map(|text| original(text).map(Into::into).ok_or(COLUMNS[column])).transpose()
    }

    fn text(&self, column: usize) -> Result<String, &'static str> {
        self.optional(column)?.ok_or(COLUMNS[column])
    }

    fn number(&self, column: usize) -> Result<i64, &'static str> {
        self.0.try_get(column).map_err(|_| COLUMNS[column])
    }

    fn time(&self, column: usize) -> Result<SystemTime, &'static str> {
        from_micros(self.number(column)?).ok_or(COLUMNS[column])
    }
}

fn json(value: &Attributes) -> String {
    serde_json::to_string(value).expect("values with text for keys always serialise")
}
