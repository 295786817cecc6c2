//! Uses created keys, before and after their owners lose their rights.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    counting::Report,
    facts::{ALICE, AWAY, BOB, FRANK, Facts, HOME, Knows, Setting, Standing, Table},
    oracle::{Made, Plane, admits, owner_stands},
    planes::{Planes, Use},
    running::{self, Minted},
};

/// A change of the facts, from those at the start.
type Change = (&'static str, fn(&mut Facts));

/// What happens to the owners of keys, one after the other.
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
    ("delegations stand", |facts| facts.standing = Some(STANDING)),
    ("delegations stand and users leave", |facts| {
        facts.standing = Some(STANDING);
        facts.places.clear();
    }),
    ("delegations stand for another user", |facts| {
        facts.standing = Some(Standing { user: BOB, ..STANDING });
    }),
    ("delegations stand in another project", |facts| {
        facts.standing = Some(Standing { project: Some(AWAY), ..STANDING });
    }),
    ("delegations are bound to no project and give no role", |facts| {
        facts.standing = Some(Standing { project: None, with_role: false, ..STANDING });
    }),
];

/// A delegation by which Alice acts in her project.
const STANDING: Standing = Standing { user: ALICE, project: Some(HOME), with_role: true };

/// Uses every key on every data plane, and keys of each kind again after each change.
pub(crate) fn run(setting: Setting, minted: &[Minted]) -> Report {
    let since = SystemClock.now().duration_since(UNIX_EPOCH).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(since.as_secs());
    running::on_every_core(|core, cores| {
        let mut left: Vec<_> = minted.iter().skip(core).step_by(cores).cloned().collect();
        let (mut report, runtime) = (Report::default(), running::runtime());
        let mut kinds = HashSet::new();
        // A store has one grant for each user and type.
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
        let signed = planes.sign(minted, None);
        let mut using = Using { setting, stage: "at the start", report: &mut *report };
        for plane in Plane::ALL.into_iter().filter(|plane| !plane.is_for_delegated()) {
            using.judge(plane, &Facts::new(), minted, &planes.send(plane, &signed).await);
        }
        if kinds.insert(minted.made.clone()) {
            let forged = planes.sign(minted, Some("another-secret"));
            for plane in Plane::ALL {
                using.judge_forged(plane, minted, &planes.send(plane, &forged).await);
            }
            samples.push((minted, signed));
        }
    }
    if samples.is_empty() {
        return left;
    }
    for (stage, change) in CHANGES {
        let mut facts = Facts::new();
        change(&mut facts);
        planes.set(&facts);
        let mut using = Using { setting, stage, report: &mut *report };
        for (minted, signed) in &samples {
            for plane in Plane::ALL.into_iter().filter(|plane| plane.has_directory()) {
                using.judge(plane, &facts, minted, &planes.send(plane, signed).await);
            }
        }
    }
    planes.set(&Facts::new());
    let mut using = Using { setting, stage: "when all is as before", report };
    for (minted, signed) in &samples {
        using.judge(Plane::Layer, &Facts::new(), minted, &planes.send(Plane::Layer, signed).await);
    }
    left
}

struct Using<'a> {
    setting: Setting,
    stage: &'static str,
    report: &'a mut Report,
}

impl Using<'_> {
    fn judge(&mut self, plane: Plane, facts: &Facts, minted: &Minted, result: &Use) {
        self.report.count_use(plane.name(), result.admitted);
        let made = &minted.made;
        let expected = admits(plane, facts, made);
        let fault =
            if result.admitted != expected {
                Some(if expected { "a good key is refused" } else { "a key is too strong" })
            } else if !expected && !is_refusal(plane, result) {
                Some("a refusal has an unexpected status")
            } else if result.signer.as_ref().is_some_and(|(user, project)| {
                user != made.user || project.as_deref() != made.project
            }) {
                Some("another signer is reported")
            } else if leaks(minted, result) {
                Some("an answer holds the secret")
            } else if result.admitted && !plane.has_directory() && !self.is_safe_alone(made) {
                Some("a key of the strict table is too strong where it is used")
            } else {
                None
            };
        if let Some(fault) = fault {
            self.fault(plane, minted, result, fault);
        }
    }

    /// Whether what was asked at the create is enough: in the strict table, a directory
    /// there makes a data plane without one safe too.
    fn is_safe_alone(&self, made: &Made) -> bool {
        let Setting { table, knows, .. } = self.setting;
        table != Table::Strict || knows != Knows::Facts || owner_stands(&Facts::new(), made)
    }

    fn judge_forged(&mut self, plane: Plane, minted: &Minted, result: &Use) {
        self.report.count_use(plane.name(), result.admitted);
        if result.admitted || !is_refusal(plane, result) || leaks(minted, result) {
            self.fault(plane, minted, result, "a wrong signature");
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

/// The response of a plane to a key that may not be used.
fn is_refusal(plane: Plane, result: &Use) -> bool {
    let status = result.status.as_u16();
    match plane {
        Plane::Ec2Tokens | Plane::S3Tokens => matches!(status, 401 | 404),
        _ => status == 403,
    }
}

fn leaks(minted: &Minted, result: &Use) -> bool {
    minted.record.secret_key().is_some_and(|secret| result.text.contains(secret.expose()))
}
