//! Stores credentials in PostgreSQL and engines that speak its protocol.
//!
//! [`PostgresBackend`] is the store for services that run on many machines: any number of
//! processes may share one database. Open it with [`PostgresBackend::open`], or with
//! [`PostgresBackend::builder`] to change a setting.

mod backend;
mod builder;
mod bulk;
mod channel;
mod connector;
mod error;
mod notify;
mod reads;
mod rows;
mod schema;
mod session;
mod statements;
mod timeline;
mod write;
mod writer;

pub use self::{backend::PostgresBackend, builder::PostgresBuilder};
