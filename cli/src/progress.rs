//! The progress of long commands.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::bars::is_utf8;

const RECORDS: &str = "{spinner} {msg} {human_pos} records, {per_sec:1}, {elapsed}";
const OF_RECORDS: &str =
    "{msg} {wide_bar} {human_pos} of {human_len} records, {per_sec:1}, {eta} left";
const BYTES: &str = "{spinner} {msg} {bytes}, {bytes_per_sec}, {elapsed}";
const OF_BYTES: &str = "{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";

/// A progress bar on stderr, if that is a terminal. Dropping it removes the bar.
///
/// Shows the rate. If the total is known, it also shows the remaining time.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Counts records, whose total is known or not.
    pub(crate) fn of_records(activity: &'static str, total: Option<u64>) -> Self {
        let template = if total.is_some() { OF_RECORDS } else { RECORDS };
        Self::start(total, template, activity)
    }

    /// Counts bytes, whose total is known or not.
    pub(crate) fn of_bytes(activity: &'static str, total: Option<u64>) -> Self {
        let template = if total.is_some() { OF_BYTES } else { BYTES };
        Self::start(total, template, activity)
    }

    fn start(total: Option<u64>, template: &str, activity: &'static str) -> Self {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        bar.set_style(style(template));
        bar.set_message(activity);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.inc(count);
    }

    /// Starts again at zero, with another activity and this total of records.
    pub(crate) fn restart(&self, activity: &'static str, total: u64) {
        self.0.reset();
        self.0.set_length(total);
        self.0.set_style(style(OF_RECORDS));
        self.0.set_message(activity);
    }

    /// Returns whether anybody sees the bar.
    pub(crate) fn is_shown(&self) -> bool {
        !self.0.is_hidden()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    if is_utf8() { style } else { style.tick_chars("|/-\\ ").progress_chars("##-") }
}
