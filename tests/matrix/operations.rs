//! Every operation of every dialect, with every target.

use tower_credentials::domain::Slot;

use crate::{
    facts::{ALICE, AWAY, BOB, CAROL, DAVE, FRANK, GHOST, HOME, PROJECTS, TWIN, USERS, VOID},
    records::{Form, Seed},
};

/// An access key that no record has.
pub(crate) const MISSING: &str = "missing";

/// The record that a request concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Missing,
    /// The record with this number.
    Record(usize),
}

/// A project in the body of a v3 create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Absent,
    Null,
    Project(&'static str),
}

impl Named {
    pub(crate) fn project(self) -> Option<&'static str> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Project(id) => Some(id),
        }
    }
}

/// The halves of the key pair that the client of an IBM create chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halves {
    Both,
    None,
}

/// The prefix of OS-EC2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    V2,
    V3,
}

/// How long both keys of a rotation are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// The new pair replaces the old one in its record.
    None,
    /// For [`OVERLAP`](crate::limits::OVERLAP).
    Some,
}

/// A request without its caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operation {
    IbmCreate {
        user: Option<&'static str>,
        project: Option<&'static str>,
        halves: Halves,
        inactive: bool,
    },
    /// Creates a key with an expiry and a boundary.
    IbmCreateLimited {
        user: &'static str,
        project: &'static str,
    },
    IbmDelete(Which),
    IbmList {
        user: Option<&'static str>,
        project: Option<&'static str>,
    },
    IbmRotate(Which, Overlap),
    IbmShow(Which),
    /// Disables a key.
    IbmUpdate(Which),
    /// Sets an expiry and a boundary.
    IbmUpdateTerms(Which),
    /// Sets the status to null.
    IbmUpdateToNull(Which),
    /// Validates a signature made with the key in this record.
    Validate {
        number: usize,
        ec2: bool,
    },
    V2Delete(&'static str, Slot),
    V2Get(&'static str, Slot),
    V2Grant {
        user: &'static str,
        slot: Slot,
        xml: bool,
    },
    V2List(&'static str),
    V2ListByType(&'static str, Slot),
    V2Update(&'static str, Slot),
    V3Create {
        user: &'static str,
        project: Named,
        ec2: bool,
    },
    V3CreateLimited {
        user: &'static str,
        project: &'static str,
    },
    V3Delete(Which),
    V3List {
        user: Option<&'static str>,
        kind: Option<&'static str>,
    },
    V3Rotate(Which, Overlap),
    V3Show(Which),
    /// Sends the blob that the record has.
    V3Update(Which),
    /// Enables a key that is disabled, and disables any other.
    V3UpdateStatus(Which),
    V3UpdateTerms(Which),
    Ec2Create {
        prefix: Prefix,
        user: &'static str,
        project: Option<&'static str>,
    },
    Ec2CreateLimited {
        user: &'static str,
        project: &'static str,
    },
    Ec2Delete {
        prefix: Prefix,
        user: &'static str,
        which: Which,
    },
    Ec2List {
        prefix: Prefix,
        user: &'static str,
    },
    Ec2Rotate {
        user: &'static str,
        which: Which,
        overlap: Overlap,
    },
    Ec2Show {
        prefix: Prefix,
        user: &'static str,
        which: Which,
    },
}

/// The wire format of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    Ibm,
    OsEc2,
    Tokens,
    V2,
    V3,
}

impl Operation {
    pub(crate) fn wire(&self) -> Wire {
        match self {
            Self::IbmCreate { .. }
            | Self::IbmCreateLimited { .. }
            | Self::IbmDelete(_)
            | Self::IbmList { .. }
            | Self::IbmRotate(..)
            | Self::IbmShow(_)
            | Self::IbmUpdate(_)
            | Self::IbmUpdateTerms(_)
            | Self::IbmUpdateToNull(_) => Wire::Ibm,
            Self::Validate { .. } => Wire::Tokens,
            Self::V2Delete(..)
            | Self::V2Get(..)
            | Self::V2Grant { .. }
            | Self::V2List(_)
            | Self::V2ListByType(..)
            | Self::V2Update(..) => Wire::V2,
            Self::V3Create { .. }
            | Self::V3CreateLimited { .. }
            | Self::V3Delete(_)
            | Self::V3List { .. }
            | Self::V3Rotate(..)
            | Self::V3Show(_)
            | Self::V3Update(_)
            | Self::V3UpdateStatus(_)
            | Self::V3UpdateTerms(_) => Wire::V3,
            Self::Ec2Create { .. }
            | Self::Ec2CreateLimited { .. }
            | Self::Ec2Delete { .. }
            | Self::Ec2List { .. }
            | Self::Ec2Rotate { .. }
            | Self::Ec2Show { .. } => Wire::OsEc2,
        }
    }

    /// Whether one key of each kind that the operation makes is enough for the data planes.
    pub(crate) fn is_sampled(&self) -> bool {
        matches!(
            self,
            Self::IbmCreateLimited { .. }
                | Self::V3CreateLimited { .. }
                | Self::Ec2CreateLimited { .. }
                | Self::IbmRotate(..)
                | Self::IbmUpdate(_)
                | Self::IbmUpdateTerms(_)
                | Self::V2Update(..)
                | Self::V3Rotate(..)
                | Self::V3Update(_)
                | Self::V3UpdateStatus(_)
                | Self::V3UpdateTerms(_)
                | Self::Ec2Rotate { .. }
        )
    }

    pub(crate) fn is_rotation(&self) -> bool {
        matches!(self, Self::IbmRotate(..) | Self::V3Rotate(..) | Self::Ec2Rotate { .. })
    }

    /// The name of the operation, without its target.
    pub(crate) fn kind(&self) -> String {
        let text = format!("{self:?}");
        text.split([' ', '(']).next().unwrap().to_owned()
    }
}

/// The user ids in requests: every user, and the projects, whose ids root keys have.
fn owners() -> impl Iterator<Item = &'static str> + Clone {
    USERS.into_iter().chain([HOME, AWAY, VOID])
}

fn or_none(
    ids: impl Iterator<Item = &'static str> + Clone,
) -> impl Iterator<Item = Option<&'static str>> + Clone {
    [None].into_iter().chain(ids.map(Some))
}

/// Every operation of the matrix.
pub(crate) fn all(records: &[Seed]) -> Vec<Operation> {
    let mut all = ibm(records);
    all.extend(v2());
    all.extend(v3(records));
    all.extend(os_ec2(records));
    let validated =
        (0..records.len()).filter(|number| *number == 0 || is_limited(records, *number));
    for number in validated {
        all.extend([true, false].map(|ec2| Operation::Validate { number, ec2 }));
    }
    all.extend(limited());
    all
}

fn targets(records: &[Seed]) -> impl Iterator<Item = Which> {
    (0..records.len()).map(Which::Record).chain([Which::Missing])
}

/// The records whose expiry or boundary matters to an operation, and a sample of the others.
fn limited_targets(records: &[Seed]) -> impl Iterator<Item = Which> {
    let others = ["own-by-trust", "own-slot", "own-void", "root-home", "blob-of-home"];
    let chosen = move |number: &usize| {
        let other = number.is_multiple_of(5) || others.contains(&records[*number].name);
        other || is_limited(records, *number)
    };
    (0..records.len()).filter(chosen).map(Which::Record).chain([Which::Missing])
}

fn is_limited(records: &[Seed], number: usize) -> bool {
    let limits = records[number].limits;
    limits.bounded || limits.end.is_some()
}

/// Creates with an expiry and a boundary.
fn limited() -> Vec<Operation> {
    let mut all = Vec::new();
    for user in [ALICE, BOB, HOME] {
        for project in [HOME, AWAY] {
            all.extend([
                Operation::IbmCreateLimited { user, project },
                Operation::V3CreateLimited { user, project },
                Operation::Ec2CreateLimited { user, project },
            ]);
        }
    }
    all
}

fn ibm(records: &[Seed]) -> Vec<Operation> {
    let mut all = Vec::new();
    for user in or_none(owners()) {
        for project in or_none(PROJECTS.into_iter()) {
            let halves = if user.is_none() { Halves::None } else { Halves::Both };
            all.push(Operation::IbmCreate { user, project, halves, inactive: false });
            all.push(Operation::IbmList { user, project });
        }
    }
    for project in [None, Some(HOME), Some(AWAY)] {
        let (user, halves) = (Some(ALICE), Halves::Both);
        all.push(Operation::IbmCreate { user, project, halves, inactive: true });
    }
    for which in limited_targets(records) {
        all.push(Operation::IbmRotate(which, Overlap::None));
        all.push(Operation::IbmRotate(which, Overlap::Some));
        all.push(Operation::IbmUpdateTerms(which));
    }
    for which in targets(records) {
        all.extend([
            Operation::IbmDelete(which),
            Operation::IbmShow(which),
            Operation::IbmUpdate(which),
        ]);
    }
    all.extend(targets(records).step_by(6).map(Operation::IbmUpdateToNull));
    all
}

fn v2() -> Vec<Operation> {
    let mut all = Vec::new();
    for user in owners() {
        all.push(Operation::V2List(user));
        for slot in [Slot::Ec2, Slot::S3] {
            all.extend([
                Operation::V2Grant { user, slot, xml: false },
                Operation::V2Delete(user, slot),
                Operation::V2Get(user, slot),
                Operation::V2ListByType(user, slot),
                Operation::V2Update(user, slot),
            ]);
        }
    }
    for user in [ALICE, BOB, DAVE] {
        all.push(Operation::V2Grant { user, slot: Slot::S3, xml: true });
    }
    all
}

/// Grants of passwords. Only two, because hashing a password is slow by design.
pub(crate) fn passwords() -> Vec<Operation> {
    let grant = |user| Operation::V2Grant { user, slot: Slot::Password, xml: false };
    [ALICE, GHOST].map(grant).into()
}

fn v3(records: &[Seed]) -> Vec<Operation> {
    let mut all = Vec::new();
    for user in owners() {
        for project in PROJECTS.map(Named::Project).into_iter().chain([Named::Null]) {
            all.push(Operation::V3Create { user, project, ec2: true });
        }
        for project in [Named::Absent, Named::Project(HOME), Named::Project(AWAY)] {
            all.push(Operation::V3Create { user, project, ec2: false });
        }
    }
    all.push(Operation::V3Create { user: ALICE, project: Named::Absent, ec2: true });
    for user in or_none([ALICE, BOB, CAROL, FRANK, GHOST, TWIN, HOME].into_iter()) {
        for kind in [None, Some("ec2"), Some("totp")] {
            all.push(Operation::V3List { user, kind });
        }
    }
    for which in limited_targets(records) {
        all.push(Operation::V3Rotate(which, Overlap::None));
        all.push(Operation::V3UpdateStatus(which));
        all.push(Operation::V3UpdateTerms(which));
    }
    for which in targets(records) {
        all.extend([
            Operation::V3Delete(which),
            Operation::V3Rotate(which, Overlap::Some),
            Operation::V3Show(which),
            Operation::V3Update(which),
        ]);
    }
    all
}

fn os_ec2(records: &[Seed]) -> Vec<Operation> {
    let mut all = Vec::new();
    let prefix = Prefix::V3;
    for user in owners() {
        all.push(Operation::Ec2List { prefix, user });
        for project in or_none(PROJECTS.into_iter()) {
            all.push(Operation::Ec2Create { prefix, user, project });
        }
    }
    for (number, record) in records.iter().enumerate() {
        let which = Which::Record(number);
        let owner = if record.form == Form::Totp { ALICE } else { record.user };
        // The path may name a user who is not the owner.
        let another = (number % 4 == 0).then_some(DAVE);
        for user in [Some(owner), another].into_iter().flatten() {
            all.push(Operation::Ec2Delete { prefix, user, which });
            all.push(Operation::Ec2Show { prefix, user, which });
        }
        if number % 5 == 0 || is_limited(records, number) {
            for overlap in [Overlap::None, Overlap::Some] {
                all.push(Operation::Ec2Rotate { user: owner, which, overlap });
            }
        }
        if let Some(user) = another {
            all.push(Operation::Ec2Rotate { user, which, overlap: Overlap::Some });
        }
    }
    for (user, which) in [(ALICE, Which::Missing), (GHOST, Which::Missing)] {
        all.push(Operation::Ec2Delete { prefix, user, which });
        all.push(Operation::Ec2Show { prefix, user, which });
        all.push(Operation::Ec2Rotate { user, which, overlap: Overlap::Some });
    }
    // A sample of the operations under the alias.
    let prefix = Prefix::V2;
    for user in [ALICE, BOB, CAROL, TWIN] {
        all.push(Operation::Ec2List { prefix, user });
        for project in [HOME, AWAY, TWIN].map(Some) {
            all.push(Operation::Ec2Create { prefix, user, project });
        }
        for which in targets(records).step_by(6) {
            all.push(Operation::Ec2Delete { prefix, user, which });
            all.push(Operation::Ec2Show { prefix, user, which });
        }
    }
    all
}
