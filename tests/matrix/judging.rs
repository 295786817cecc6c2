//! Compares a response, and the store after it, with the rules.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use serde_json::Value;
use tower_credentials::domain::{Credential, Slot};

use crate::{
    callers::Subject,
    counting::Report,
    operations::{Operation, Wire},
    oracle::{Expected, Oracle, Success},
    records::Seed,
    requests::{Chosen, root},
    running::Minted,
    secrets,
    world::Answer,
};

/// One request, with the oracle that computes the expected result.
pub(crate) struct Cell<'a> {
    pub(crate) oracle: &'a Oracle<'a>,
    pub(crate) caller: &'a Subject,
    pub(crate) operation: &'a Operation,
    pub(crate) chosen: &'a Chosen,
}

pub(crate) type Store = [Arc<Credential>];

/// Checks a response, and adds failures to the report.
pub(crate) fn judge(
    cell: &Cell<'_>,
    answer: &Answer,
    before: &Store,
    after: &Store,
    report: &mut Report,
) {
    let expected = cell.oracle.expected(cell.caller, cell.operation);
    let granted = answer.status.is_success();
    report.count_cell(cell.operation.wire(), granted, expected.is_undecided());
    let result = match &expected.success {
        Some(success) if granted => cell.granted(success, answer, before, after),
        _ => refused(&expected, answer, before, after).map(|()| Vec::new()),
    };
    let setting = cell.oracle.setting.name;
    let describe = || format!("{} as {}", describe(cell), cell.caller.name);
    match result {
        Ok(minted) => minted.into_iter().for_each(|minted| report.mint(minted)),
        Err(fault) => report.fault(
            format!("{setting} {}: {fault}", cell.operation.kind()),
            format!("{}: expected {expected:?}, got {}", describe(), shown(answer)),
        ),
    }
    if let Err(fault) = secrets::check(cell, answer, before, after) {
        report.fault(
            format!("{setting} {}: {fault}", cell.operation.kind()),
            format!("{}: {}", describe(), shown(answer)),
        );
    }
}

fn describe(cell: &Cell<'_>) -> String {
    let text = format!("{:?}", cell.operation);
    // Adds the record's name: its number does not help a reader of the report.
    let name = |seed: &(usize, &Seed)| text.contains(&format!("Record({})", seed.0));
    let record = cell.oracle.records.iter().enumerate().find(name);
    record.map_or(text.clone(), |(_, seed)| format!("{text} ({})", seed.name))
}

fn shown(answer: &Answer) -> String {
    let text: String = answer.text().chars().take(200).collect();
    format!("{} {text}", answer.status.as_u16())
}

fn refused(
    expected: &Expected,
    answer: &Answer,
    before: &Store,
    after: &Store,
) -> Result<(), String> {
    let status = answer.status.as_u16();
    if !expected.refusals.contains(&status) {
        let wanted = match &expected.success {
            Some(_) => "a success".to_owned(),
            None => format!("{:?}", expected.refusals),
        };
        return Err(format!("{wanted} expected, {status} returned"));
    }
    if same(before, after) { Ok(()) } else { Err("refused request changed the store".into()) }
}

impl Cell<'_> {
    fn granted(
        &self,
        success: &Success,
        answer: &Answer,
        before: &Store,
        after: &Store,
    ) -> Result<Vec<Minted>, String> {
        let status = match success {
            Success::Made(_) | Success::Rotated { retired: Some(_), .. } => StatusCode::CREATED,
            Success::Deleted(_) => StatusCode::NO_CONTENT,
            Success::Changed(..)
            | Success::Listed { .. }
            | Success::Rotated { retired: None, .. }
            | Success::Shown(_)
            | Success::Validated => StatusCode::OK,
        };
        if answer.status != status {
            return Err(format!("{status} expected, {} returned", answer.status));
        }
        match success {
            Success::Made(made) => return self.made(made, before, after),
            Success::Changed(number, made) => {
                return self.changed(&self.oracle.records[*number], made, before, after);
            }
            Success::Rotated { number, made, retired: Some(retired) } => {
                let seed = &self.oracle.records[*number];
                return self.rotated(seed, (made, retired), before, after);
            }
            Success::Rotated { number, made, retired: None } => {
                return self.replaced(&self.oracle.records[*number], made, before, after);
            }
            Success::Deleted(number) => {
                let id = self.oracle.records[*number].id();
                let rest: Vec<_> =
                    before.iter().filter(|record| record.id != id).cloned().collect();
                if rest.len() == before.len() || !same(&rest, after) {
                    return Err("delete did not remove exactly its record".into());
                }
            }
            Success::Listed { must, may } => {
                unchanged(before, after)?;
                self.listed(must, may, answer)?;
            }
            Success::Validated => unchanged(before, after)?,
            Success::Shown(number) => {
                unchanged(before, after)?;
                let seed = &self.oracle.records[*number];
                let names = self.names(answer)?;
                if names != [self.wire_name(seed)] {
                    return Err("another record was shown".into());
                }
            }
        }
        Ok(Vec::new())
    }

    fn listed(&self, must: &[usize], may: &[usize], answer: &Answer) -> Result<(), String> {
        let names: BTreeSet<_> = self.names(answer)?.into_iter().collect();
        let of = |numbers: &[usize]| -> BTreeSet<String> {
            numbers.iter().map(|number| self.wire_name(&self.oracle.records[*number])).collect()
        };
        let (must, may) = (of(must), of(may));
        let missing: Vec<_> = must.difference(&names).collect();
        let extra: Vec<_> =
            names.iter().filter(|name| !must.contains(*name) && !may.contains(*name)).collect();
        if missing.is_empty() && extra.is_empty() {
            return Ok(());
        }
        Err(format!("list lacks {} records and shows {} more", missing.len(), extra.len()))
    }

    /// The names of the records in a response.
    fn names(&self, answer: &Answer) -> Result<Vec<String>, String> {
        let body: Value =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let one = body.get("credential").or(if body.get("credentials").is_none() {
            Some(&body)
        } else {
            None
        });
        let many = body["credentials"].as_array().cloned();
        let all = many.unwrap_or_else(|| one.into_iter().cloned().collect());
        let name = |credential: &Value| match self.operation.wire() {
            Wire::Ibm | Wire::Tokens | Wire::V3 => credential["id"].as_str().map(str::to_owned),
            Wire::OsEc2 => credential["access"].as_str().map(str::to_owned),
            Wire::V2 => {
                let slots = [Slot::Ec2, Slot::S3];
                let of = |slot| credential[root(slot)]["username"].as_str().map(str::to_owned);
                slots.into_iter().find_map(of)
            }
        };
        all.iter()
            .map(|one| name(one).ok_or_else(|| "a record in the response has no name".to_owned()))
            .collect()
    }

    /// The name under which the dialect shows a record.
    fn wire_name(&self, seed: &Seed) -> String {
        match self.operation.wire() {
            Wire::V3 => seed.id().to_string(),
            Wire::Ibm | Wire::OsEc2 | Wire::Tokens | Wire::V2 => seed.name.into(),
        }
    }
}

fn unchanged(before: &Store, after: &Store) -> Result<(), String> {
    if same(before, after) { Ok(()) } else { Err("read changed the store".into()) }
}

/// Whether two dumps are equal. Compares pointers first, because comparing secrets is slow.
pub(crate) fn same(one: &Store, other: &Store) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is(one, other))
}

pub(crate) fn is(one: &Arc<Credential>, other: &Arc<Credential>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
