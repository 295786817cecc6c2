//! What is shown while a command is at work: on a terminal, on stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that fills up, or turns where nobody knows how much there is. Dropping it
/// takes it away.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of records that nobody has counted.
    pub(crate) fn of_records(doing: &'static str) -> Self {
        // Draws on a terminal only.
        let bar = ProgressBar::new_spinner();
        let template = "{spinner} {msg} {human_pos} records, {per_sec}, {elapsed}";
        Self::shown(bar, template, doing)
    }

    /// Of a file of this many bytes.
    pub(crate) fn of_bytes(doing: &'static str, bytes: u64) -> Self {
        let template = "{msg} {bar:40} {bytes} of {total_bytes}, {eta} left";
        Self::shown(ProgressBar::new(bytes), template, doing)
    }

    fn shown(bar: ProgressBar, template: &str, doing: &'static str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(doing);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// More of it is done.
    pub(crate) fn add(&self, more: u64) {
        self.0.inc(more);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
