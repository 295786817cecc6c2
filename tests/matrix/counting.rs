//! Counts the checks and collects the failures.

use std::{collections::BTreeMap, fmt};

use crate::{operations::Wire, running::Minted};

/// How many lines of each fault are printed.
const EXAMPLES: usize = 3;

/// The result of a part of the matrix.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cells: BTreeMap<Wire, usize>,
    granted: usize,
    /// Cells for which the rules leave open whether they are granted.
    open: usize,
    /// Checked uses of keys, by data plane.
    uses: BTreeMap<&'static str, usize>,
    admitted: usize,
    faults: BTreeMap<String, (usize, Vec<String>)>,
    /// The key pairs that came of creates.
    pub(crate) minted: Vec<Minted>,
}

impl Report {
    pub(crate) fn count_cell(&mut self, wire: Wire, granted: bool, open: bool) {
        *self.cells.entry(wire).or_default() += 1;
        self.granted += usize::from(granted);
        self.open += usize::from(open);
    }

    pub(crate) fn count_use(&mut self, plane: &'static str, admitted: bool) {
        *self.uses.entry(plane).or_default() += 1;
        self.admitted += usize::from(admitted);
    }

    pub(crate) fn fault(&mut self, kind: String, example: String) {
        let (count, examples) = self.faults.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example);
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        let Self { cells, granted, open, uses, admitted, faults, minted } = other;
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
        self.open += open;
        self.admitted += admitted;
        self.minted.extend(minted);
    }

    pub(crate) fn cells(&self) -> usize {
        self.cells.values().sum()
    }

    pub(crate) fn open(&self) -> usize {
        self.open
    }

    pub(crate) fn uses(&self) -> usize {
        self.uses.values().sum()
    }

    /// Fails if anything was wrong.
    #[track_caller]
    pub(crate) fn assert_faultless(&self) {
        let mut text = String::new();
        for (kind, (count, examples)) in &self.faults {
            text.push_str(&format!("{count} x {kind}\n"));
            for example in examples {
                text.push_str(&format!("    {example}\n"));
            }
        }
        assert!(self.faults.is_empty(), "the rules say otherwise:\n{text}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cells, granted, open) = (self.cells(), self.granted, self.open);
        write!(f, "{cells} requests ({granted} granted, {open} left open):")?;
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
