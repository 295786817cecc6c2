//! A recorder that remembers every call, for the layers that are built in a closure.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Clones share what they recorded.
#[derive(Clone, Default)]
pub(crate) struct Recorded(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The values of each series: of histograms the number of samples.
    series: BTreeMap<String, f64>,
    described: Vec<String>,
    /// How many calls recorded a value.
    records: usize,
    /// How many calls made a handle.
    registrations: usize,
}

impl Recorded {
    /// Runs a closure whose handles record here.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(self, work)
    }

    /// The value of a series, such as `tower_credentials_requests_total{dialect="ibm_cos"}`, with all
    /// its labels in their order. 0 for a series without a value.
    pub(crate) fn value(&self, series: &str) -> f64 {
        *self.0.lock().unwrap().series.get(series).unwrap_or_else(|| panic!("no {series}"))
    }

    /// The series whose value is not 0.
    pub(crate) fn used(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let used = state.series.iter().filter(|(_, value)| **value != 0.0);
        used.map(|(series, _)| series.clone()).collect()
    }

    /// The names of all series.
    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let names = state.series.keys().map(|series| series.split('{').next().unwrap().to_owned());
        names.collect()
    }

    pub(crate) fn described(&self) -> Vec<String> {
        self.0.lock().unwrap().described.clone()
    }

    /// How many calls there were: those that recorded a value, and those that made a handle.
    pub(crate) fn calls(&self) -> (usize, usize) {
        let state = self.0.lock().unwrap();
        (state.records, state.registrations)
    }

    fn register(&self, key: &Key) -> Arc<Series> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}=\"{}\"", label.key(), label.value())).collect();
        let name = if labels.is_empty() {
            key.name().to_owned()
        } else {
            format!("{}{{{}}}", key.name(), labels.join(","))
        };
        let mut state = self.0.lock().unwrap();
        state.registrations += 1;
        state.series.entry(name.clone()).or_insert(0.0);
        Arc::new(Series { recorded: self.clone(), name })
    }

    fn describe(&self, name: &KeyName) {
        self.0.lock().unwrap().described.push(name.as_str().to_owned());
    }
}

/// A handle of one series.
struct Series {
    recorded: Recorded,
    name: String,
}

impl Series {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut state = self.recorded.0.lock().unwrap();
        state.records += 1;
        let value = state.series.get_mut(&self.name).unwrap();
        *value = change(*value);
    }
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
impl CounterFn for Series {
    fn increment(&self, by: u64) {
        self.change(|value| value + by as f64);
    }

    fn absolute(&self, to: u64) {
        self.change(|_| to as f64);
    }
}

impl GaugeFn for Series {
    fn increment(&self, by: f64) {
        self.change(|value| value + by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| value - by);
    }

    fn set(&self, to: f64) {
        self.change(|_| to);
    }
}

impl HistogramFn for Series {
    fn record(&self, _: f64) {
        self.change(|samples| samples + 1.0);
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.register(key))
    }
}
