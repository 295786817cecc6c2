//! The list of all metrics, and their descriptions.

use std::collections::BTreeSet;

use tower_credentials::metrics::{ALL, MetricKind, describe};

use crate::recorder::Recorded;

#[test]
fn every_metric_has_the_prefix_a_unit_and_a_sentence() {
    for metric in ALL {
        assert!(metric.name.starts_with("tower_credentials_"), "{metric:?}");
        assert!(metric.help.ends_with('.') && metric.help.len() < 120, "{metric:?}");
        let is_counter = metric.kind == MetricKind::Counter;
        assert_eq!(metric.name.ends_with("_total"), is_counter, "{metric:?}");
        let is_histogram = metric.kind == MetricKind::Histogram;
        assert_eq!(!metric.buckets.is_empty(), is_histogram, "{metric:?}");
        assert!(metric.buckets.is_sorted(), "{metric:?}");
    }
    let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), ALL.len(), "each name is there once");
}

#[test]
fn description_covers_every_metric_and_sets_the_build_info() {
    let recorded = Recorded::default();
    recorded.within(describe);
    let names: Vec<_> = ALL.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(recorded.described(), names);
    let version = env!("CARGO_PKG_VERSION");
    let info = format!("tower_credentials_build_info{{version=\"{version}\"}}");
    assert_eq!(recorded.used(), [info]);
}
