//! The layout of the keys below the prefix.
//!
//! | key | value |
//! |---|---|
//! | `a` access key | id |
//! | `i` id, of records without an access key | id |
//! | `m` | the changes of the last write |
//! | `p` project `a` access key, `p` project `i` id | id, nothing |
//! | `q` user | the number of the user's records |
//! | `r` id | the record |
//! | `s` user, slot | id |
//! | `u` user `a` access key, `u` user `i` id | id, nothing |
//! | `v` | the version of this layout |
//! | `x` expiry `.` id | id |
//!
//! Owners that are followed by something begin with their length, so that no owner is a prefix
//! of another. The part that lists are ordered by comes last: `a` and an access key, or `i` and an
//! id, is a record's marker. Only records with an expiry have an `x` key.
//!
//! Version 1 of this layout also had `p` project `i` id and `u` user `i` id for records with an
//! access key, and no `i` keys. See [`upgrade`](super::upgrade).

use crate::backend::{ListQuery, Order, id_marker};
use crate::domain::{Credential, ProjectId, Slot, UserId};

/// The keys below a prefix.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
}

/// An index entry: a key, other than the record's own, that points to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// Whether only one record may have it.
    pub(super) is_unique: bool,
}

/// The owner of records.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    Project(ProjectId),
    User(UserId),
}

impl Keys {
    /// `prefix` must end with a slash.
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    pub(super) fn access_key(&self, access_key: &str) -> Vec<u8> {
        self.key('a', access_key)
    }

    pub(super) fn change(&self) -> Vec<u8> {
        self.key('m', "")
    }

    pub(super) fn counter(&self, user_id: &UserId) -> Vec<u8> {
        self.key('q', user_id.as_str())
    }

    pub(super) fn record(&self, id: &str) -> Vec<u8> {
        self.key('r', id)
    }

    pub(super) fn slot(&self, user_id: &UserId, slot: Slot) -> Vec<u8> {
        self.key('s', &format!("{}{}", sized(user_id.as_str()), slot.as_str()))
    }

    pub(super) fn version(&self) -> Vec<u8> {
        self.key('v', "")
    }

    /// The prefix of an owner's entries. The marker follows.
    pub(super) fn owned(&self, owner: &Owner) -> Vec<u8> {
        match owner {
            Owner::Project(id) => self.key('p', &sized(id.as_str())),
            Owner::User(id) => self.key('u', &sized(id.as_str())),
        }
    }

    /// The prefix of the entries that a query lists, and the key after the last one. The marker
    /// follows the prefix.
    pub(super) fn listed(&self, query: &ListQuery) -> (Vec<u8>, Vec<u8>) {
        let prefix = match (&query.user_id, &query.project_id, query.order) {
            (_, _, Order::ExpiresAt) => self.key('x', ""),
            (Some(id), _, Order::Key) => self.owned(&Owner::User(id.clone())),
            (None, Some(id), Order::Key) => self.owned(&Owner::Project(id.clone())),
            // No other keys are between those with `a` and those with `i`.
            (None, None, Order::Key) => {
                return (self.prefix.clone().into_bytes(), self.key('j', ""));
            }
        };
        let end = end_of_prefix(&prefix);
        (prefix, end)
    }

    /// The prefix of all counters. The user follows.
    pub(super) fn counters(&self) -> Vec<u8> {
        self.key('q', "")
    }

    /// The prefix of the entries of all users.
    pub(super) fn users(&self) -> Vec<u8> {
        self.key('u', "")
    }

    /// The prefixes of all index entries.
    pub(super) fn index_prefixes(&self) -> [Vec<u8>; 6] {
        ['a', 'i', 'p', 's', 'u', 'x'].map(|kind| self.key(kind, ""))
    }

    /// The index entries of a record.
    pub(super) fn entries(&self, credential: &Credential) -> Vec<Entry> {
        let id = credential.id.as_str();
        let entry = |key, value: &str| Entry { key, value: value.into(), is_unique: false };
        let unique = |key| Entry { is_unique: true, ..entry(key, id) };
        let mut entries = Vec::with_capacity(5);
        // The key of a record in the list of all is its marker.
        let marker = Order::Key.marker(credential).unwrap_or_default();
        let listed = [self.prefix.as_bytes(), marker.as_bytes()].concat();
        entries.push(Entry { is_unique: credential.access_key.is_some(), ..entry(listed, id) });
        entries.extend(credential.slot.map(|slot| unique(self.slot(&credential.user_id, slot))));
        let value = if credential.access_key.is_some() { id } else { "" };
        for owner in owners(credential) {
            entries.push(entry([&*self.owned(&owner), marker.as_bytes()].concat(), value));
        }
        let expiry = Order::ExpiresAt.marker(credential);
        entries.extend(expiry.map(|marker| entry(self.key('x', &marker), id)));
        entries
    }

    /// The keys that a record has only in version 1 of the layout.
    pub(super) fn former(&self, credential: &Credential) -> Vec<Vec<u8>> {
        if credential.access_key.is_none() {
            return Vec::new();
        }
        let marker = id_marker(credential.id.as_str());
        let key = |owner| [&*self.owned(&owner), marker.as_bytes()].concat();
        owners(credential).map(key).collect()
    }

    /// The entry of a record without an access key in the list of all. Not in version 1.
    pub(super) fn listed_by_id(&self, id: &str) -> Vec<u8> {
        self.key('i', id)
    }

    fn key(&self, kind: char, rest: &str) -> Vec<u8> {
        format!("{}{kind}{rest}", self.prefix).into_bytes()
    }
}

fn owners(credential: &Credential) -> impl Iterator<Item = Owner> {
    let project = credential.project_id.clone().map(Owner::Project);
    std::iter::once(Owner::User(credential.user_id.clone())).chain(project)
}

fn sized(owner: &str) -> String {
    format!("{}:{owner}", owner.len())
}

/// Returns the user of an entry from the rest of its key after [`Keys::users`].
pub(super) fn user_of(rest: &[u8]) -> Option<UserId> {
    owner_of(rest).map(|(owner, _)| UserId::from_stored(owner))
}

/// Returns whether an index entry points to a record. `rest` is its key after one of
/// [`Keys::index_prefixes`].
pub(super) fn points_to(rest: &[u8], value: &[u8], id: &str) -> bool {
    if value.is_empty() {
        return owner_of(rest).is_some_and(|(_, place)| place == [b"i", id.as_bytes()].concat());
    }
    value == id.as_bytes()
}

/// Splits the owner, with its length, from the start of a key.
fn owner_of(rest: &[u8]) -> Option<(&str, &[u8])> {
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let length: usize = str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    let (owner, place) = rest.get(colon + 1..)?.split_at_checked(length)?;
    Some((str::from_utf8(owner).ok()?, place))
}

/// The first key after all keys with this prefix.
pub(super) fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // etcd's notation for the end of all keys.
    vec![0]
}

/// The first key after this one.
pub(super) fn key_after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_owner_is_a_prefix_of_another() {
        let keys = Keys::new("x/".into());
        let of = |user: &str| keys.owned(&Owner::User(UserId::from_stored(user)));
        for (user, other) in [("amy", "amyi"), ("a", "a:1"), ("1:a", "a"), ("", "0:")] {
            assert!(!of(other).starts_with(&of(user)), "{user:?} and {other:?}");
            assert!(!of(user).starts_with(&of(other)), "{user:?} and {other:?}");
        }
    }

    #[test]
    fn user_is_decoded_from_the_keys_of_its_records() {
        let keys = Keys::new("x/".into());
        for user in ["amy", "", "5:amy", "\u{e9}/i"] {
            let user = UserId::from_stored(user);
            let key = keys.owned(&Owner::User(user.clone()));
            assert_eq!(user_of(&key[keys.users().len()..]), Some(user));
        }
        for bad in ["", "3", "3:am", "x:amy"] {
            assert_eq!(user_of(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn every_entry_points_to_its_record_and_to_no_other() {
        use crate::domain::{AccessKey, CredentialId, Kind, Material, Version};

        let keys = Keys::new("x/".into());
        let (user, material) = (UserId::from_stored("u"), Material::KeyPair { secret: None });
        let (kind, now) = (Kind::ec2(), std::time::UNIX_EPOCH);
        let id = CredentialId::from_stored("an id");
        let mut record = Credential::new(id, kind, user, material, now, Version::fresh());
        record.project_id = Some(ProjectId::from_stored("p"));
        record.slot = Some(Slot::Ec2);
        record.terms.set_expires_at(Some(now));
        let without_key = keys.entries(&record);
        record.access_key = Some(AccessKey::from_stored("k"));
        let with_key = keys.entries(&record);
        assert_eq!((with_key.len(), without_key.len()), (5, 5));
        for entry in [with_key, without_key].concat() {
            let prefix =
                keys.index_prefixes().into_iter().find(|start| entry.key.starts_with(start));
            let rest = &entry.key[prefix.expect("one of the prefixes").len()..];
            assert!(points_to(rest, &entry.value, "an id"), "{entry:?}");
            for other in ["id", "n id", "ian id", ""] {
                assert!(!points_to(rest, &entry.value, other), "{entry:?}");
            }
        }
    }

    #[test]
    fn end_of_a_prefix_follows_all_of_its_keys() {
        assert_eq!(end_of_prefix(b"ab"), b"ac");
        assert_eq!(end_of_prefix(b"a\xff\xff"), b"b");
        assert_eq!(end_of_prefix(b"\xff"), b"\0");
        assert!(key_after(b"ab") > b"ab".to_vec() && key_after(b"ab") < b"ab\x01".to_vec());
    }
}
