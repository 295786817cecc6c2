//! `EtcdBackend` on real clusters.

#[path = "../common/etcd.rs"]
mod etcd;
#[path = "../common/installed.rs"]
mod installed;

mod suite;
