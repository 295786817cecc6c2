//! `Cached`: lookups from memory, and what that may never cost.

mod conformance;
