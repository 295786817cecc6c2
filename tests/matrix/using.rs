//! Uses created keys, before and after their owners lose their rights.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    counting::Report,
    facts::{
        ALICE, AWAY, BOB, DelegationRights, DirectoryKind, FRANK, Facts, HOME, Setting, Table,
    },
    limits::boundary,
    oracle::{Made, Plane, admits, owner_is_valid},
    planes::{Planes, Signed, Use},
    running::{self, Minted},
    sessions,
};

/// A change of the facts, applied to [`Facts::new`].
type Change = (&'static str, fn(&mut Facts));

/// Events that change the rights of the keys' owners. Each starts from the initial facts.
const CHANGES: [Change; 15] = [
    ("a user leaves a project", |facts| {
        facts.places.remove(&(ALICE, HOME));
    }),
    ("a user of two projects leaves one", |facts| {
        facts.places.remove(&(FRANK, HOME));
    }),
    ("every user leaves every project", |facts| facts.places.clear()),
    ("a user is disabled", |facts| {
        facts.users.insert(BOB, false);
    }),
    ("every user is disabled", |facts| {
        facts.users.values_mut().for_each(|enabled| *enabled = false);
    }),
    ("a project is disabled", |facts| {
        facts.projects.insert(AWAY, false);
    }),
    ("every project is disabled", |facts| {
        facts.projects.values_mut().for_each(|enabled| *enabled = false);
    }),
    ("a user is removed", |facts| {
        facts.users.remove(ALICE);
    }),
    ("a project is removed", |facts| {
        facts.projects.remove(HOME);
    }),
    ("a user loses the last role in a project", |facts| {
        facts.roleless.insert((BOB, HOME));
    }),
    ("delegations are valid", |facts| facts.delegations = Some(ALICE_AT_HOME)),
    ("delegations are valid and users leave", |facts| {
        facts.delegations = Some(ALICE_AT_HOME);
        facts.places.clear();
    }),
    ("delegations are valid for another user", |facts| {
        facts.delegations = Some(DelegationRights { user: BOB, ..ALICE_AT_HOME });
    }),
    ("delegations are valid in another project", |facts| {
        facts.delegations = Some(DelegationRights { project: Some(AWAY), ..ALICE_AT_HOME });
    }),
    ("delegations are bound to no project and give no role", |facts| {
        facts.delegations =
            Some(DelegationRights { project: None, with_role: false, ..ALICE_AT_HOME });
    }),
];

/// A delegation by which Alice acts in her project.
const ALICE_AT_HOME: DelegationRights =
    DelegationRights { user: ALICE, project: Some(HOME), with_role: true };

/// Uses every key on every data plane, and keys of each kind again after each change.
pub(crate) fn run(setting: Setting, minted: &[Minted]) -> Report {
    let since = SystemClock.now().duration_since(UNIX_EPOCH).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(since.as_secs());
    running::on_every_core(|core, cores| {
        let mut left: Vec<_> =
            minted.iter().skip(core).step_by(cores).map(|minted| minted.shifted_to(now)).collect();
        let (mut report, runtime) = (Report::default(), running::runtime());
        let mut kinds = HashSet::new();
        // A store has at most one grant per user and type, so some keys need another store.
        while !left.is_empty() {
            left = runtime.block_on(use_batch(setting, now, &left, &mut kinds, &mut report));
        }
        report
    })
}

async fn use_batch(
    setting: Setting,
    now: SystemTime,
    minted: &[Minted],
    kinds: &mut HashSet<Made>,
    report: &mut Report,
) -> Vec<Minted> {
    let (store, stored, left) = running::batch(minted).await;
    let planes = Planes::new(&store, now);
    let mut samples = Vec::new();
    for minted in &stored {
        let signed = planes.sign(&minted.record, None);
        let mut using = Using { setting, stage: "at the start", now: 0, report: &mut *report };
        let limited = minted.made.bounded || minted.made.end.is_some();
        let serves =
            |plane: &Plane| !plane.is_for_delegated() && (limited || !plane.is_for_limited());
        for plane in Plane::ALL.into_iter().filter(serves) {
            using.judge(plane, &Facts::new(), minted, &planes.send(plane, &signed).await);
            if minted.made.bounded && !plane.returns_signers() {
                using.judge_outside(plane, minted, &planes.send_outside(plane, &signed).await);
            }
        }
        if let Some(old) = &minted.replaced {
            let replaced = planes.sign(old, None);
            for plane in Plane::ALL {
                using.judge_replaced(plane, minted, &planes.send(plane, &replaced).await);
            }
        }
        if kinds.insert(minted.made.kind()) {
            let forged = planes.sign(&minted.record, Some("another-secret"));
            for plane in Plane::ALL {
                using.judge_forged(plane, minted, &planes.send(plane, &forged).await);
            }
            samples.push((minted, signed));
        }
    }
    if samples.is_empty() {
        return left;
    }
    sessions::run(setting, sessions::AT_THE_START, &planes, &samples, report).await;
    sessions::manage_keys(setting, &planes, &store, &samples, report).await;
    for (stage, change) in CHANGES {
        let mut facts = Facts::new();
        change(&mut facts);
        planes.set(&facts);
        let mut using = Using { setting, stage, now: 0, report: &mut *report };
        for (minted, signed) in &samples {
            let limited = minted.made.bounded || minted.made.end.is_some();
            let serves = |plane: &Plane| {
                plane.has_directory()
                    && (limited || !plane.is_for_limited())
                    && *plane != Plane::Ec2TokensCareless
            };
            for plane in Plane::ALL.into_iter().filter(serves) {
                using.judge(plane, &facts, minted, &planes.send(plane, signed).await);
            }
        }
        sessions::run(setting, stage, &planes, &samples, report).await;
    }
    planes.set(&Facts::new());
    let mut using =
        Using { setting, stage: "when all rights are restored", now: 0, report: &mut *report };
    for (minted, signed) in &samples {
        using.judge(Plane::Layer, &Facts::new(), minted, &planes.send(Plane::Layer, signed).await);
    }
    use_around_expiry(setting, &planes, &samples, report).await;
    left
}

/// Uses every key that expires a second before its expiry, and at it.
async fn use_around_expiry(
    setting: Setting,
    planes: &Planes,
    samples: &[(&Minted, Signed)],
    report: &mut Report,
) {
    for (minted, signed) in samples {
        let Some(end) = minted.made.end else { continue };
        for (now, stage) in [(end - 1_000_000, "before the expiry"), (end, "at the expiry")] {
            planes.set_clock(now);
            let mut using = Using { setting, stage, now, report: &mut *report };
            for plane in Plane::ALL {
                using.judge(plane, &Facts::new(), minted, &planes.send(plane, signed).await);
            }
        }
    }
    planes.set_clock(0);
}

struct Using<'a> {
    setting: Setting,
    stage: &'static str,
    /// The clock of the planes, in microseconds after the clock of the requests.
    now: i64,
    report: &'a mut Report,
}

impl Using<'_> {
    fn judge(&mut self, plane: Plane, facts: &Facts, minted: &Minted, result: &Use) {
        self.report.count_use(plane.name(), result.admitted);
        let made = &minted.made;
        let expected = admits(plane, facts, made, self.now);
        let fault =
            if result.admitted != expected {
                Some(if expected { "a valid key is refused" } else { "a key is too strong" })
            } else if !expected && !is_refusal(plane, result) {
                Some("a refusal has an unexpected status")
            } else if result.signer.as_ref().is_some_and(|(user, project)| {
                user != made.user || project.as_deref() != made.project
            }) {
                Some("another signer is reported")
            } else if result.admitted && plane.returns_signers() && !is_limited(minted, result) {
                Some("a response about a signer lacks a limit of the key")
            } else if leaks(minted, result) {
                Some("a response contains the secret")
            } else if result.admitted
                && !plane.has_directory()
                && !self.is_safe_without_directory(minted)
            {
                Some("a key of the strict table is too strong without a directory")
            } else {
                None
            };
        if let Some(fault) = fault {
            self.fault(plane, minted, result, fault);
        }
    }

    /// Whether a data plane without a directory may admit a new key. With the strict table and
    /// a directory, the check at the create must suffice.
    fn is_safe_without_directory(&self, minted: &Minted) -> bool {
        let Setting { table, directory, .. } = self.setting;
        table != Table::Strict
            || directory != DirectoryKind::Facts
            || minted.was_stored
            || owner_is_valid(&Facts::new(), &minted.made)
    }

    fn judge_outside(&mut self, plane: Plane, minted: &Minted, result: &Use) {
        self.report.count_use(plane.name(), result.admitted);
        if result.admitted || !is_refusal(plane, result) || leaks(minted, result) {
            self.fault(plane, minted, result, "a request outside the boundary is admitted");
        }
    }

    fn judge_replaced(&mut self, plane: Plane, minted: &Minted, result: &Use) {
        self.report.count_use(plane.name(), result.admitted);
        if result.admitted || !is_refusal(plane, result) {
            self.fault(plane, minted, result, "a pair that was replaced is admitted");
        }
    }

    fn judge_forged(&mut self, plane: Plane, minted: &Minted, result: &Use) {
        self.report.count_use(plane.name(), result.admitted);
        if result.admitted || !is_refusal(plane, result) || leaks(minted, result) {
            self.fault(
                plane,
                minted,
                result,
                "a wrong signature is admitted, or refused in another way",
            );
        }
    }

    fn fault(&mut self, plane: Plane, minted: &Minted, result: &Use, fault: &str) {
        let (setting, stage) = (self.setting.name, self.stage);
        let kind = format!("{setting} {} {stage}: {fault}", plane.name());
        let text: String = result.text.chars().take(200).collect();
        let example = format!("{:?} of {}: {} {text}", minted.made, minted.by, result.status);
        self.report.fault(kind, example);
    }
}

/// Whether this is the plane's response to a key that may not be used.
fn is_refusal(plane: Plane, result: &Use) -> bool {
    let status = result.status.as_u16();
    match plane {
        // The issuer's token was not returned.
        Plane::Ec2TokensCareless => matches!(status, 401 | 404 | 503),
        _ if plane.returns_signers() => matches!(status, 401 | 404),
        _ => status == 403,
    }
}

/// Whether the response about a signer ends with the key, and has its boundary.
fn is_limited(minted: &Minted, result: &Use) -> bool {
    let ends = match minted.record.terms.expires_at() {
        Some(end) => result.ends.is_some_and(|ends| ends <= end),
        None => result.ends.is_some(),
    };
    ends && result.boundary == minted.made.bounded.then(boundary)
}

fn leaks(minted: &Minted, result: &Use) -> bool {
    minted.record.secret_key().is_some_and(|secret| result.text.contains(secret.expose()))
}
