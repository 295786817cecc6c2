//! Checks the responses of the IBM COS and Keystone APIs byte by byte.
//!
//! Test names start with the number of an operation. All files are one program, because linking
//! takes a large part of the time of a test run.
//!
//! | numbers | dialect | operations, in their order |
//! |---|---|---|
//! | `i1` to `i6` | IBM COS | create, list, show, change, delete, rotate |
//! | `k1` to `k6` | v2.0 | list, grant, show, change, delete, list by type |
//! | `k7` to `k12` | v2.0 | the same under `OS-KSS3` |
//! | `k13` | OS-EC2 | the operations of `e1` to `e4` under `/v2.0` |
//! | `c1` to `c6` | v3 | list, create, show, change, delete, rotate |
//! | `e1` to `e5` | OS-EC2 | list, create, show, delete, rotate |
//! | `t1`, `t2` | v3 | `ec2tokens`, `s3tokens` |

mod bad_input;
mod bad_input_v3;
mod bodies;
mod bounds;
mod browsers;
mod cached_reads;
mod caching;
mod cross_dialect;
mod cross_dialect_v3;
mod delegated_callers;
mod delegated_keys;
mod ec2tokens;
mod ec2tokens_signatures;
mod foreign_ids;
mod golden;
mod ibm_cos_create;
mod ibm_cos_keys;
mod ibm_cos_roles;
mod keystone_v2_faults;
mod keystone_v2_json;
mod keystone_v2_paths;
mod keystone_v2_slots;
mod keystone_v2_xml;
mod keystone_v3_credentials;
mod keystone_v3_frames;
mod keystone_v3_links;
mod keystone_v3_lists;
mod keystone_v3_patch;
mod keystone_v3_rights;
mod last_used;
mod limited_signatures;
mod log_lines;
mod operations;
mod os_ec2;
mod os_ec2_rights;
mod outages_and_races;
mod plugins;
mod random_requests;
mod redeemed_owners;
mod root_keys;
mod rotation;
mod routes;
mod s3tokens;
mod s3tokens_signatures;
mod secrets;
mod security_history;
mod strict_roles;
mod terms;
use test_support::{signer, thread_log, world};
