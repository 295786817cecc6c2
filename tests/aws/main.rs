//! The AWS wires as a black box: signed requests to STS and IAM, and their responses.

mod catalogs;
mod front;
mod iam;
mod limits;
mod mistakes;
mod params;
mod routing;
mod sts;
mod sts_terms;
