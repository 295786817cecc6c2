//! The rows of the table of operations, and how they are written.

use http::Method;

use super::names::{S3Action as Action, S3OperationName as Name};

/// An operation, and how a request selects it among those with the same selector.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: Name,
    /// The actions that a request needs, on what the path names.
    pub(super) actions: &'static [Action],
    /// The actions that it needs instead if it names a version.
    pub(super) versioned: &'static [Action],
    /// The parameters that a request may have besides the selector.
    pub(super) companions: &'static [&'static str],
    /// What a request must have.
    pub(super) needs: &'static [Need],
}

/// What a request must have to be of a row.
#[derive(Debug)]
pub(super) enum Need {
    /// The header `x-amz-copy-source`.
    CopySource,
    Parameter(&'static str),
    /// A parameter with this value.
    Value(&'static str, &'static str),
}

/// A parameter that selects an operation.
#[derive(Debug)]
pub(super) struct Selector {
    pub(super) name: &'static str,
    /// Per method, the rows in the order in which they are tried.
    get: &'static [Row],
    put: &'static [Row],
    delete: &'static [Row],
    post: &'static [Row],
}

impl Selector {
    /// Returns whether the parameter has a value.
    pub(super) fn has_value(&self) -> bool {
        self.name == UPLOAD_ID
    }

    /// Returns the rows of a method. A `HEAD` has no selector.
    pub(super) fn rows(&self, method: &Method) -> &'static [Row] {
        match *method {
            Method::GET => self.get,
            Method::PUT => self.put,
            Method::DELETE => self.delete,
            Method::POST => self.post,
            _ => &[],
        }
    }
}

/// The parameters with a value; all others that select an operation are flags.
pub(super) const VALUED: &[&str] = &["annotationName", "id", "partNumber", UPLOAD_ID, VERSION_ID];

pub(super) const PART_NUMBER: &str = "partNumber";
pub(super) const UPLOAD_ID: &str = "uploadId";
pub(super) const VERSION_ID: &str = "versionId";

pub(super) const fn row(name: Name, actions: &'static [Action]) -> Row {
    Row { name, actions, versioned: &[], companions: &[], needs: &[] }
}

impl Row {
    pub(super) const fn with(mut self, companions: &'static [&'static str]) -> Self {
        self.companions = companions;
        self
    }

    pub(super) const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// A request may name a version, which needs these actions instead.
    pub(super) const fn version(mut self, actions: &'static [Action]) -> Self {
        self.versioned = actions;
        self.companions = &[VERSION_ID];
        self
    }

    /// A request must name a configuration.
    pub(super) const fn id(mut self) -> Self {
        self.needs = &[Need::Parameter("id")];
        self.companions = &["id"];
        self
    }
}

pub(super) const fn flag(name: &'static str) -> Selector {
    Selector { name, get: &[], put: &[], delete: &[], post: &[] }
}

impl Selector {
    pub(super) const fn get(mut self, rows: &'static [Row]) -> Self {
        self.get = rows;
        self
    }

    pub(super) const fn put(mut self, rows: &'static [Row]) -> Self {
        self.put = rows;
        self
    }

    pub(super) const fn delete(mut self, rows: &'static [Row]) -> Self {
        self.delete = rows;
        self
    }

    pub(super) const fn post(mut self, rows: &'static [Row]) -> Self {
        self.post = rows;
        self
    }
}
