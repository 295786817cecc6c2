//! Computes the expected response to each request without the crate's policy.
//!
//! The rules in short; the modules below state them for each dialect:
//!
//! * A caller without a valid token gets 401 for every request.
//! * A delegated caller manages nothing unless the setting allows it. A token that was
//!   obtained with a key never manages anything.
//! * `admin` may do everything, in every scope.
//! * `key_management_user` creates, changes and deletes the caller's own keys in the
//!   token's project; `key_management_admin` the keys of any user there, and root keys.
//! * `key_listing_user` lists and shows the caller's own keys; `key_listing_admin` all keys
//!   of the token's project.
//! * `impersonate` extends both to other projects, and shows others' secrets.
//! * Keystone's table replaces this in v3 and OS-EC2 only. Owners need no role, except
//!   `member` for changes through OS-EC2. A system reader sees everything.
//! * With a directory, user and project of a new key must exist, and the user must have a
//!   place in the project. A root key requires only its project. Keystone's table requires
//!   the place when the key is used, not when it is created.
//! * A caller rotates a key that it may change, and whose like it may create. The new key is
//!   as weak as the old one: same owner, project, delegation and boundary. Root keys, grants
//!   and records without a secret are 409.
//! * With a maximum life, no new key ends later, and no change may name a later expiry.

mod ibm;
mod os_ec2;
mod rights;
mod rotation;
mod using;
mod v2;
mod v3;

use tower_credentials::domain::{Delegation, Slot};

use crate::{
    callers::{Presents, Subject},
    facts::{Facts, Setting},
    limits::END_MICROS,
    operations::{Operation, Which, Wire},
    records::{Form, Seed},
};

pub(crate) use self::{
    rights::Rights,
    using::{Plane, admits, owner_is_valid},
};

/// The record that a create stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Made {
    pub(crate) user: &'static str,
    pub(crate) project: Option<&'static str>,
    pub(crate) root: bool,
    pub(crate) active: bool,
    pub(crate) ec2: bool,
    pub(crate) slot: Option<Slot>,
    pub(crate) delegation: Option<Delegation>,
    /// Its expiry, in microseconds after the clock of the requests.
    pub(crate) end: Option<i64>,
    pub(crate) bounded: bool,
}

impl Made {
    /// The same for all keys that the same events make invalid: all expired keys are alike, and
    /// all others that expire.
    pub(crate) fn kind(&self) -> Self {
        Self { end: self.end.map(i64::signum), ..self.clone() }
    }

    /// A key pair of this owner.
    fn pair(user: &'static str, project: Option<&'static str>) -> Self {
        Self {
            user,
            project,
            root: false,
            active: true,
            ec2: true,
            slot: None,
            delegation: None,
            end: None,
            bounded: false,
        }
    }
}

/// The effect of a granted request. Numbers are those of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Success {
    /// Changes a record to this.
    Changed(usize, Made),
    Deleted(usize),
    /// Lists all of `must`, possibly some of `may`, and nothing else.
    Listed {
        must: Vec<usize>,
        may: Vec<usize>,
    },
    Made(Made),
    /// Replaces a key pair. With an overlap, the old record becomes `retired`.
    Rotated {
        number: usize,
        made: Made,
        retired: Option<Made>,
    },
    Shown(usize),
    Validated,
}

impl Success {
    /// Lists exactly these records.
    fn listed(must: Vec<usize>) -> Self {
        Self::Listed { must, may: Vec::new() }
    }
}

/// The responses that the rules allow, usually one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) success: Option<Success>,
    /// The statuses of a refusal.
    pub(crate) refusals: Vec<u16>,
}

impl Expected {
    /// The same response, but a new key or a changed one has these members.
    fn with(mut self, change: impl FnOnce(&mut Made)) -> Self {
        if let Some(Success::Made(made) | Success::Changed(_, made)) = &mut self.success {
            change(made);
        }
        self
    }

    fn granted(success: Success) -> Self {
        Self { success: Some(success), refusals: Vec::new() }
    }

    /// Granted if permitted, otherwise 403.
    fn granted_if(permitted: bool, success: Success) -> Self {
        if permitted { Self::granted(success) } else { Self::refused(403) }
    }

    fn refused(status: u16) -> Self {
        Self { success: None, refusals: vec![status] }
    }

    /// Refused with one of these statuses. The rules do not say which.
    fn refused_with(statuses: &[u16]) -> Self {
        Self { success: None, refusals: statuses.to_vec() }
    }

    /// Whether the rules allow both a success and a refusal.
    pub(crate) fn is_undecided(&self) -> bool {
        self.success.is_some() && !self.refusals.is_empty()
    }
}

/// The rules for a layer with this setting over these records.
#[derive(Debug)]
pub(crate) struct Oracle<'a> {
    pub(crate) setting: Setting,
    pub(crate) facts: Option<Facts>,
    pub(crate) records: &'a [Seed],
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(setting: Setting, records: &'a [Seed]) -> Self {
        Self { setting, facts: setting.facts(), records }
    }

    pub(crate) fn rights(&self, caller: &'a Subject) -> Rights<'a> {
        Rights { setting: self.setting, caller }
    }

    /// The expected responses to the request.
    pub(crate) fn expected(&self, caller: &'a Subject, operation: &Operation) -> Expected {
        if operation.wire() == Wire::Tokens && self.facts.is_none() {
            // Without a directory the request passes through to the app.
            return Expected::refused(418);
        }
        if caller.presents != Presents::Valid {
            return Expected::refused(401);
        }
        let rights = self.rights(caller);
        let expected = match operation.wire() {
            Wire::Ibm => self.ibm(&rights, operation),
            Wire::OsEc2 => self.os_ec2(&rights, operation),
            Wire::Tokens => self.validation(&rights, operation),
            Wire::V2 => self.v2(&rights, operation),
            Wire::V3 => self.v3(&rights, operation),
        };
        let is_create = matches!(expected.success, Some(Success::Made(Made { ec2: true, .. })));
        expected.with(|made| {
            if is_create && made.end.is_none() {
                made.end = self.max_life();
            }
        })
    }

    /// Signatures of expired and of bounded keys are not valid. The tokens of the issuer outlive
    /// every key that expires.
    fn validation(&self, rights: &Rights<'_>, operation: &Operation) -> Expected {
        let Operation::Validate { number, ec2 } = *operation else { unreachable!("{operation:?}") };
        let limits = self.records[number].limits;
        if !rights.validates() {
            Expected::refused(403)
        } else if limits.bounded || limits.end.is_some_and(|end| end <= 0) {
            Expected::refused(401)
        } else if ec2 && limits.end.is_some() {
            Expected::refused(503)
        } else {
            Expected::granted(Success::Validated)
        }
    }

    /// The maximum life in microseconds.
    fn max_life(&self) -> Option<i64> {
        self.setting.max_life.map(|seconds| seconds * 1_000_000)
    }

    /// A change of the terms to an expiry and a boundary, which changes the record to this.
    fn limited(&self, expected: Expected) -> Expected {
        let Some(Success::Changed(number, _)) = expected.success else { return expected };
        let seed = &self.records[number];
        let latest = self.max_life().map(|life| life - seed.limits.age * 1_000_000);
        if seed.form == Form::Totp || latest.is_some_and(|latest| END_MICROS > latest) {
            return Expected::refused(400);
        }
        expected.with(limit)
    }

    /// Whether a successful response may contain the secret of the record.
    pub(crate) fn shows_secret(
        &self,
        caller: &'a Subject,
        operation: &Operation,
        seed: &Seed,
    ) -> bool {
        let rights = self.rights(caller);
        if rights.is_refused_outright(operation.wire()) {
            return false;
        }
        if self.setting.shows_once && seed.form != Form::Totp && !rights.is_reading_gateway() {
            return false;
        }
        match operation.wire() {
            Wire::Ibm => rights.reads_secret(seed),
            Wire::Tokens => false,
            Wire::V2 => rights.is_admin(),
            Wire::V3 | Wire::OsEc2 => rights.v3_reads_secret(seed),
        }
    }

    fn record(&self, which: Which) -> Option<(usize, &'a Seed)> {
        match which {
            Which::Missing => None,
            Which::Record(number) => Some((number, &self.records[number])),
        }
    }

    /// The numbers of the records for which the predicate is true.
    fn numbers(&self, predicate: impl Fn(&Seed) -> bool) -> Vec<usize> {
        let numbered = self.records.iter().enumerate();
        numbered.filter(|(_, seed)| predicate(seed)).map(|(number, _)| number).collect()
    }

    /// Whether there is a directory and the user does not exist.
    fn lacks_user(&self, id: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_user(id))
    }

    /// Whether there is a directory and the project does not exist.
    fn lacks_project(&self, id: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_project(id))
    }

    /// Whether there is a directory and the user has no place in the project.
    fn lacks_place(&self, user: &str, project: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_place(user, project))
    }
}

/// Sets the limits that requests name.
fn limit(made: &mut Made) {
    (made.end, made.bounded) = (Some(END_MICROS), true);
}
