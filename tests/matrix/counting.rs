//! Counts the checks and collects the failures.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::{self, Write},
};

use crate::{operations::Wire, oracle::Made, running::Minted};

/// The maximum number of examples of each fault in the output.
const EXAMPLES: usize = 3;

/// The result of a part of the matrix.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cells: BTreeMap<Wire, usize>,
    granted: usize,
    /// Cells for which the rules allow both a success and a refusal.
    undecided: usize,
    /// Checked uses of keys, by data plane.
    uses: BTreeMap<&'static str, usize>,
    admitted: usize,
    faults: BTreeMap<String, (usize, Vec<String>)>,
    /// The created key pairs.
    pub(crate) minted: Vec<Minted>,
    /// The kinds of limited, changed and rotated keys among them.
    samples: HashSet<(String, Made, bool)>,
}

impl Report {
    pub(crate) fn count_cell(&mut self, wire: Wire, granted: bool, undecided: bool) {
        *self.cells.entry(wire).or_default() += 1;
        self.granted += usize::from(granted);
        self.undecided += usize::from(undecided);
    }

    pub(crate) fn count_use(&mut self, plane: &'static str, admitted: bool) {
        *self.uses.entry(plane).or_default() += 1;
        self.admitted += usize::from(admitted);
    }

    /// Adds a key that is to be used. Of limited, changed and rotated keys, one of each kind is enough.
    pub(crate) fn mint(&mut self, minted: Minted) {
        let is_new = minted.sample.as_ref().is_none_or(|sample| {
            self.samples.insert((sample.clone(), minted.made.clone(), minted.replaced.is_some()))
        });
        if is_new {
            self.minted.push(minted);
        }
    }

    pub(crate) fn fault(&mut self, kind: String, example: String) {
        let (count, examples) = self.faults.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example);
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        let Self { cells, granted, undecided, uses, admitted, faults, minted, samples } = other;
        for (wire, count) in cells {
            *self.cells.entry(wire).or_default() += count;
        }
        for (plane, count) in uses {
            *self.uses.entry(plane).or_default() += count;
        }
        for (kind, (count, examples)) in faults {
            let (total, known) = self.faults.entry(kind).or_default();
            *total += count;
            known.extend(examples);
            known.truncate(EXAMPLES);
        }
        self.granted += granted;
        self.undecided += undecided;
        self.admitted += admitted;
        self.minted.extend(minted);
        self.samples.extend(samples);
    }

    pub(crate) fn cells(&self) -> usize {
        self.cells.values().sum()
    }

    pub(crate) fn undecided(&self) -> usize {
        self.undecided
    }

    pub(crate) fn uses(&self) -> usize {
        self.uses.values().sum()
    }

    /// Fails if the report has a fault.
    #[track_caller]
    pub(crate) fn assert_faultless(&self) {
        let mut text = String::new();
        for (kind, (count, examples)) in &self.faults {
            writeln!(text, "{count} x {kind}").unwrap();
            for example in examples {
                writeln!(text, "    {example}").unwrap();
            }
        }
        assert!(self.faults.is_empty(), "results differ from the rules:\n{text}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cells, granted, undecided) = (self.cells(), self.granted, self.undecided);
        write!(f, "{cells} requests ({granted} granted, {undecided} undecided):")?;
        for (wire, count) in &self.cells {
            write!(f, " {wire:?} {count}")?;
        }
        write!(f, "; {} uses of keys ({} admitted):", self.uses(), self.admitted)?;
        for (plane, count) in &self.uses {
            write!(f, " {plane} {count}")?;
        }
        Ok(())
    }
}
