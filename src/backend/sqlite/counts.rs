//! How many records users have, for their quotas.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::domain::Quota;

use super::{connection::data_version, names};

/// The maximum number of users that are remembered.
const MAX_USERS: usize = 4_096;

/// Counts only up to the quota.
pub(super) const COUNT: &str = "SELECT count(*) FROM \
    (SELECT 1 FROM records INDEXED BY records_by_user WHERE user_id = ? LIMIT ?)";

/// Remembers counts from one transaction to the next, so that a create need not count the records
/// of its owner each time.
///
/// Every write of the connection must be reported. What other connections write is noticed.
#[derive(Debug, Default)]
pub(super) struct Counts {
    held: HashMap<Box<str>, Held>,
    /// The connection, and its data version, for which the counts hold.
    opening: u64,
    version: u64,
    /// Whether the version was compared in this transaction.
    is_checked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    count: u64,
    /// `false` if the user may have more.
    is_exact: bool,
}

impl Counts {
    /// Starts a transaction on the connection with this number.
    pub(super) fn begin(&mut self, opening: u64) {
        self.is_checked = false;
        if self.opening != opening {
            self.opening = opening;
            self.clear();
        }
    }

    /// Returns whether the user may not have another record.
    pub(super) fn is_full(
        &mut self,
        connection: &Connection,
        user_id: &str,
        quota: Quota,
    ) -> rusqlite::Result<bool> {
        let Quota::AtMost(limit) = quota else { return Ok(false) };
        if !self.is_checked {
            let version = data_version(connection)?;
            if self.version != version {
                self.version = version;
                self.clear();
            }
            self.is_checked = true;
        }
        if let Some(held) = self.held.get(user_id) {
            let admits = quota.admits(held.count);
            if held.is_exact || !admits {
                return Ok(!admits);
            }
        }
        let packed = names::pack(user_id.as_bytes());
        let mut statement = connection.prepare_cached(COUNT)?;
        let count: i64 = statement.query_row(params![packed, limit], |row| row.get(0))?;
        let count = count.unsigned_abs();
        let is_exact = quota.admits(count);
        if self.held.len() >= MAX_USERS {
            self.clear();
        }
        self.held.insert(user_id.into(), Held { count, is_exact });
        Ok(!is_exact)
    }

    /// The user has one record more.
    pub(super) fn add(&mut self, user_id: &str) {
        if let Some(held) = self.held.get_mut(user_id) {
            held.count += 1;
        }
    }

    /// The user has one record less.
    pub(super) fn remove(&mut self, user_id: &str) {
        if let Some(held) = self.held.get_mut(user_id) {
            held.count = held.count.saturating_sub(1);
        }
    }

    /// The user may have any number of records.
    pub(super) fn forget(&mut self, user_id: &str) {
        self.held.remove(user_id);
    }

    /// Any user may have any number of records.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::backend::row::Row;
    use crate::backend::sqlite::{rows, schema, statements::Rotation, write::Write};
    use crate::domain::{
        Blob, Credential, CredentialId, Kind, Material, ProjectId, UserId, Version,
    };

    const USERS: [&str; 2] = ["alice", "bob"];

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Delete(u8),
        Insert(u8, usize, u32),
        Load(u8, usize),
        /// To another owner, or not.
        Move(u8, usize),
        PurgeProject,
        PurgeUser(usize),
        Rotate(u8, u8, usize, usize, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let (id, user, quota) = (0..6_u8, 0..USERS.len(), 0..4_u32);
        prop_oneof![
            id.clone().prop_map(Step::Delete),
            (id.clone(), user.clone(), quota.clone())
                .prop_map(|(id, user, quota)| Step::Insert(id, user, quota)),
            (id.clone(), user.clone(), quota.clone())
                .prop_map(|(id, user, quota)| Step::Insert(id, user, quota)),
            (id.clone(), user.clone()).prop_map(|(id, user)| Step::Load(id, user)),
            (id.clone(), user.clone()).prop_map(|(id, user)| Step::Move(id, user)),
            Just(Step::PurgeProject),
            user.clone().prop_map(Step::PurgeUser),
            (id.clone(), id, user.clone(), user, quota)
                .prop_map(|(new, old, to, from, quota)| Step::Rotate(new, old, to, from, quota)),
        ]
    }

    fn row(id: u8, user: usize) -> Row {
        let (id, user) = (format!("{id}"), UserId::from_stored(USERS[user]));
        let material = Material::Blob(Blob::new("x".to_owned()));
        let (kind, version) = (Kind::from_stored("cert"), Version::fresh());
        let id = CredentialId::from_stored(&*id);
        let mut record = Credential::new(id, kind, user, material, UNIX_EPOCH, version);
        record.project_id = Some(ProjectId::from_stored("p"));
        rows::row_of(&record)
    }

    fn write(connection: &Connection, step: Step) -> Option<Write> {
        let version_of = |id: u8| {
            let sql = "SELECT version FROM records WHERE id = ?";
            connection.query_row(sql, [format!("{id}")], |row| row.get::<_, i64>(0)).ok()
        };
        Some(match step {
            Step::Delete(id) => Write::Delete { id: format!("{id}"), expected: None },
            Step::Insert(id, user, quota) => {
                Write::Insert { row: row(id, user), quota: Quota::AtMost(quota) }
            }
            Step::Load(id, user) => {
                let turn = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
                let turn = turn.try_acquire_owned().unwrap();
                Write::Load { rows: vec![row(id, user)], turn }
            }
            Step::Move(id, user) => Write::Update { row: row(id, user), expected: version_of(id)? },
            Step::PurgeProject => Write::PurgeProject { project_id: "p".into() },
            Step::PurgeUser(user) => Write::PurgeUser { user_id: USERS[user].into() },
            Step::Rotate(new, old, to, from, quota) => Write::Rotate(Box::new(Rotation {
                row: row(new, to),
                quota: Quota::AtMost(quota),
                retired: row(old, from),
                expected: version_of(old)?,
            })),
        })
    }

    proptest! {
        #[test]
        fn remembered_counts_are_those_of_the_table(steps in proptest::collection::vec(step(), 1..40)) {
            let connection = schema::in_memory();
            let mut counts = Counts::default();
            for step in steps {
                counts.begin(1);
                let Some(write) = write(&connection, step) else { continue };
                let _ = write.apply(&connection, &mut counts).unwrap();
                for user in USERS {
                    let sql = "SELECT count(*) FROM records WHERE user_id = ?";
                    let held: u64 = connection
                        .query_row(sql, [user], |row| row.get::<_, i64>(0))
                        .unwrap()
                        .unsigned_abs();
                    for limit in [3, 0, 2, 1, 9] {
                        let is_full = counts.is_full(&connection, user, Quota::AtMost(limit)).unwrap();
                        prop_assert_eq!(is_full, held >= u64::from(limit), "{:?} {}", step, limit);
                    }
                }
            }
        }
    }

    #[test]
    fn records_of_a_remembered_user_are_not_counted_again() {
        let connection = schema::in_memory();
        let mut counts = Counts::default();
        let mut is_full =
            |limit| counts.is_full(&connection, "alice", Quota::AtMost(limit)).unwrap();
        assert!(!is_full(1));
        // Unseen: it is neither reported nor the write of another connection.
        connection
            .execute(
                "INSERT INTO records (hash, id, kind, user_id, material, status, \
            attributes, created_at, updated_at, version) \
            VALUES (1, 'a', 'cert', 'alice', 'b', 'Active', '{}', 0, 0, 1)",
                [],
            )
            .unwrap();
        assert!(!is_full(1));
        counts.begin(2);
        let is_full = counts.is_full(&connection, "alice", Quota::AtMost(1)).unwrap();
        assert!(is_full, "counted again on another connection");
    }

    #[test]
    fn number_of_remembered_users_is_limited() {
        let connection = schema::in_memory();
        let mut counts = Counts::default();
        for user in 0..=MAX_USERS {
            counts.is_full(&connection, &user.to_string(), Quota::AtMost(9)).unwrap();
            assert!(counts.held.len() <= MAX_USERS);
        }
        assert_eq!(counts.held.len(), 1);
    }
}
