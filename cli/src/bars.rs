//! Counts, and the bars that show them in a terminal.

use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal as _},
};

use console::Term;
use serde_json::{Map, Value};

/// The width of a terminal that does not report one.
const COLUMNS: usize = 80;

/// No bar is longer, so that bars stay small in a wide terminal.
const MAX_BAR: usize = 50;

/// Blocks of one to eight eighths of a column.
const BLOCKS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Named counts, in the order in which they are printed.
#[derive(Debug)]
pub(crate) struct Counts(pub(crate) Vec<(&'static str, u64)>);

impl Counts {
    /// Returns the counts as an object.
    pub(crate) fn json(&self) -> Value {
        let members = self.0.iter().map(|(name, count)| ((*name).into(), (*count).into()));
        members.collect::<Map<_, _>>().into()
    }

    /// Returns an indented line for each count: with a bar in a terminal.
    pub(crate) fn lines(&self, terminal: Option<Terminal>) -> String {
        let mut lines = String::new();
        let Some(terminal) = terminal else {
            for (name, count) in &self.0 {
                let _ = writeln!(lines, "  {}: {count}", name.replace('_', " "));
            }
            return lines;
        };
        let max = self.0.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let name_width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 1;
        let count_width = max.to_string().len();
        // Two columns before the name, one before the count, one before the bar. The last column
        // stays empty, because some terminals wrap a line that fills it.
        let room = terminal.columns.saturating_sub(name_width + count_width + 5).min(MAX_BAR);
        for (name, count) in &self.0 {
            let name = format!("{}:", name.replace('_', " "));
            let bar = terminal.bar(*count, max, room);
            let line = format!("  {name:name_width$} {count:count_width$} {bar}");
            lines.push_str(line.trim_end());
            lines.push('\n');
        }
        lines
    }
}

/// The terminal at stdout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    columns: usize,
    has_blocks: bool,
}

impl Terminal {
    /// Returns the terminal at stdout, if stdout is a terminal.
    pub(crate) fn at_stdout() -> Option<Self> {
        io::stdout().is_terminal().then(|| Self {
            columns: Term::stdout().size_checked().map_or(COLUMNS, |(_, columns)| columns.into()),
            has_blocks: is_utf8(),
        })
    }

    /// Returns a bar whose length is `room` if `count` is `max`. It is empty only if `count` or `room`
    /// is zero.
    fn bar(self, count: u64, max: u64, room: usize) -> String {
        let steps = if self.has_blocks { BLOCKS.len() } else { 1 };
        let length = length(count, max, room * steps);
        if !self.has_blocks {
            return "#".repeat(length);
        }
        let mut bar = BLOCKS[7].to_string().repeat(length / steps);
        bar.extend((length % steps).checked_sub(1).map(|last| BLOCKS[last]));
        bar
    }
}

/// Returns `room * count / max`, rounded, and at least 1 for a count above zero.
fn length(count: u64, max: u64, room: usize) -> usize {
    if count == 0 || room == 0 {
        return 0;
    }
    let (count, max) = (u128::from(count), u128::from(max));
    let length = (room as u128 * count + max / 2) / max;
    usize::try_from(length).map_or(room, |length| length.clamp(1, room))
}

/// Returns whether programs should print UTF-8. The first variable that is not empty decides.
pub(crate) fn is_utf8() -> bool {
    let values = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env::var_os);
    names_utf8(values.map(|value| value.to_string_lossy().into_owned()))
}

fn names_utf8(mut values: impl Iterator<Item = String>) -> bool {
    values.find(|value| !value.is_empty()).is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASCII: Terminal = Terminal { columns: 80, has_blocks: false };

    #[test]
    fn bars_are_proportional_and_empty_only_for_zero() {
        let blocks = Terminal { has_blocks: true, ..ASCII };
        for (count, hashes, drawn) in [
            (0, "", ""),
            (1, "#", "▏"),
            (100, "#", "▊"),
            (500, "####", "████"),
            (563, "#####", "████▌"),
            (1_000, "########", "████████"),
        ] {
            assert_eq!(ASCII.bar(count, 1_000, 8), hashes, "{count}");
            assert_eq!(blocks.bar(count, 1_000, 8), drawn, "{count}");
        }
        assert_eq!(ASCII.bar(u64::MAX, u64::MAX, 8), "########");
        assert_eq!(ASCII.bar(1, u64::MAX, 8), "#");
        assert_eq!(ASCII.bar(5, 5, 0), "");
    }

    #[test]
    fn lines_fit_the_terminal() {
        let counts = Counts(vec![("up_to_1_day", 12_345), ("older", 7), ("never", 0)]);
        for columns in 0..200 {
            let lines = counts.lines(Some(Terminal { columns, has_blocks: true }));
            let longest = lines.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest < columns.max(21), "{columns}: {lines}");
            assert_eq!(lines.contains(BLOCKS[7]), columns > 22, "{columns}: {lines}");
        }
        let lines = counts.lines(Some(Terminal { columns: 26, ..ASCII }));
        assert_eq!(
            lines,
            "  up to 1 day: 12345 ####\n  older:           7 #\n  never:           0\n"
        );
        assert_eq!(counts.lines(None), "  up to 1 day: 12345\n  older: 7\n  never: 0\n");
    }

    #[test]
    fn first_locale_that_is_set_decides() {
        let utf8 = |values: [&str; 3]| names_utf8(values.into_iter().map(Into::into));
        assert!(utf8(["", "", "en_US.UTF-8"]) && utf8(["C.utf8", "C", "C"]));
        assert!(!utf8(["", "POSIX", "en_US.UTF-8"]) && !utf8(["C", "C.utf8", ""]));
        assert!(!utf8(["", "", ""]) && !utf8(["", "", "de_DE@euro"]));
    }
}
