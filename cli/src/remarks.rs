//! What `verify` reports about single records besides damage.

use std::sync::Arc;

use tower_credentials::{boundary::Boundary, domain::Credential};

use crate::report::{Exit, Failure, MAX_LISTED, Report};

/// The members of a credential on the wires that earlier releases stored as opaque attributes.
const TERMS: [&str; 5] = ["name", "description", "expires_at", "boundary", "status"];

/// Remarks about records. Only an invalid boundary is a problem.
#[derive(Default)]
pub(crate) struct Remarks {
    /// Records of earlier releases whose user and project have equal ids, without a mark that
    /// says whether they are root keys. An operator should check them.
    unmarked: Lines,
    /// Records with attributes that are named like terms, which do not limit them.
    attributes: Lines,
    /// Records whose boundary cannot be parsed: every use of such a key is rejected.
    boundaries: Lines,
}

impl Remarks {
    pub(crate) fn add(&mut self, records: &[Arc<Credential>]) {
        for record in records {
            if record.root_key.is_none() && record.has_equal_ids() {
                let treated_as = if record.is_root_key() { "a root key" } else { "a user's key" };
                self.unmarked.add(record, &format!("treated as {treated_as}"));
            }
            let is_attribute = |name: &&str| record.attributes.contains_key(*name);
            let names: Vec<_> = TERMS.into_iter().filter(is_attribute).collect();
            if !names.is_empty() {
                self.attributes.add(record, &names.join(", "));
            }
            let boundary = record.terms.boundary();
            let parsed = boundary.map(|text| Boundary::parse(text, record.user_id.as_str()));
            if let Some(Err(error)) = parsed {
                self.boundaries.add(record, &error.to_string());
            }
        }
    }

    pub(crate) fn add_to(&self, report: Report) -> Report {
        let Self { unmarked, attributes, boundaries } = self;
        let failure = (boundaries.count > 0).then(|| {
            let message = format!(
                "{} boundaries are not valid: every use of these keys is rejected",
                boundaries.count
            );
            Failure::new(Exit::Problem, message)
        });
        report
            .with("invalid_boundaries", boundaries.count)
            .with("records_with_an_invalid_boundary", boundaries.lines.clone())
            .with("attributes_named_like_terms", attributes.count)
            .with("records_with_such_attributes", attributes.lines.clone())
            .with("unmarked_root_keys", unmarked.count)
            .with("unmarked_records", unmarked.lines.clone())
            .failing(failure)
    }
}

/// The number of records, and a line for each of at most [`MAX_LISTED`].
#[derive(Default)]
struct Lines {
    count: u64,
    lines: Vec<String>,
}

impl Lines {
    fn add(&mut self, record: &Credential, remark: &str) {
        self.count += 1;
        if self.lines.len() < MAX_LISTED {
            self.lines.push(format!("{}: {remark}", record.id.as_str()));
        }
    }
}
