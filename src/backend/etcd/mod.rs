//! Stores credentials in etcd.
//!
//! [`EtcdBackend`] is the store for sites that run an etcd cluster: any number of processes
//! may share it, and it stays available while a majority of its members does. Open it with
//! [`EtcdBackend::open`], or with [`EtcdBackend::builder`] to change a setting.

mod backend;
mod builder;
mod change;
mod client;
mod counters;
mod error;
mod feed;
mod insert;
mod keys;
mod load;
mod maintenance;
mod read;
mod record;
mod rotate;
mod store;
mod transport;
mod upgrade;
mod wire;

pub use self::{backend::EtcdBackend, builder::EtcdBuilder};
