//! Stores credentials in an SQLite file.
//!
//! [`SqliteBackend`] is the store for a service on one machine: a few processes may share the
//! file. Open it with [`SqliteBackend::open`], or with [`SqliteBackend::builder`] to change a
//! setting.

mod backend;
mod builder;
mod checkpointer;
mod connection;
mod counts;
mod error;
mod file;
mod moving;
mod names;
mod queries;
mod readers;
mod rows;
mod schema;
mod statements;
mod write;
mod writer;

pub use self::{backend::SqliteBackend, builder::SqliteBuilder};
