//! Tests with real S3 clients, for all servers of the workspace.
//!
//! [`client_tests!`](crate::client_tests) generates the tests for one server.

pub mod aws_sigv4;
pub mod bounded;
pub mod cli_sessions;
pub mod conditions;
pub mod curl;
pub mod hello;
pub mod key_options;
pub mod lifecycle;
pub mod log_lines;
pub mod loopback;
pub mod object_store;
pub mod other_sessions;
pub mod python;
pub mod rclone;
pub mod rusty_s3;
pub mod s3cmd;
pub mod sdk_sessions;
pub mod secret_files;
pub mod sessions;

/// Generates the tests of all clients for one server, a [`Program`](crate::process::Program).
#[macro_export]
macro_rules! client_tests {
    ($program:expr) => {
        $crate::client_tests! { @modules $program;
            aws_sigv4 {
                aws_sigv4_over_http_2_uses_a_key_of_any_origin_until_it_is_disabled
            }
            bounded {
                boto3_works_within_the_boundary_of_its_key_only
                minio_py_works_within_the_boundary_of_its_key_only
                aws_command_line_works_within_the_boundary_of_its_key_only
                rclone_works_within_the_boundary_of_its_key_only
                s3cmd_works_within_the_boundary_of_its_key_only
            }
            cli_sessions {
                aws_command_line_asks_for_sessions_and_uses_them
                aws_command_line_manages_keys_over_iam
                aws_command_line_assumes_the_role_of_a_profile
            }
            conditions {
                conditions_see_the_address_and_the_encryption_of_a_connection
                operation_that_the_server_does_not_serve_changes_nothing
            }
            curl {
                curl_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
                curl_uses_a_key_of_any_origin_over_http_2
            }
            hello {
                development_token_is_printed_only_without_identities
                printed_commands_use_the_demo_key_and_disable_it
            }
            key_options {
                max_key_life_limits_new_keys
                invalid_max_key_life_exits_with_code_2
                secrets_are_shown_once_with_the_option
            }
            log_lines {
                hostile_paths_ids_and_headers_are_escaped_in_the_log
            }
            loopback {
                development_tokens_work_for_loopback_hosts_only
                rejection_of_a_foreign_host_names_the_identities_option
                signed_requests_work_for_every_host
                tokens_of_a_file_work_for_every_host
            }
            object_store {
                object_store_uses_a_key_of_any_origin_until_it_is_disabled
                object_store_uses_a_key_with_unsigned_payloads
            }
            other_sessions {
                minio_py_asks_for_sessions_and_uses_them
                iceberg_client_works_below_the_prefix_of_its_session_only
                javascript_sdk_uses_sessions_and_manages_keys
            }
            python {
                boto3_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
                boto3_script_fails_if_a_key_is_not_rejected
                aws_command_line_uses_a_key_of_any_origin_until_it_is_disabled
            }
            rclone {
                rclone_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
            }
            rusty_s3 {
                rusty_s3_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
                unknown_key_and_wrong_secret_return_different_errors_as_in_aws
                signed_request_for_a_bucket_named_credentials_reaches_the_store
            }
            s3cmd {
                s3cmd_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
                s3cmd_uses_a_key_with_signature_version_2
            }
            sdk_sessions {
                rust_sdk_assumes_a_role_as_a_catalog_does
                rust_sdk_creates_lists_and_deletes_keys
            }
            secret_files {
                identities_that_others_can_read_or_write_are_rejected
                key_ring_that_others_can_read_or_write_is_rejected
                url_file_that_others_can_read_or_write_is_rejected
                reload_of_identities_that_others_can_read_keeps_the_old_ones
            }
            sessions {
                boto3_sessions_work_within_their_policy_only
                boto3_refreshes_credentials_that_end_soon
                boto3_maps_errors_to_its_exceptions
                boto3_creates_lists_and_deletes_keys_over_iam
                boto3_sessions_end_when_their_key_is_disabled
            }
        }
    };
    (@modules $program:expr; $($module:ident { $($test:ident)+ })+) => {
        $($crate::client_tests! { @module $program; $module { $($test)+ } })+
    };
    (@module $program:expr; $module:ident { $($test:ident)+ }) => {
        mod $module {
            $(#[tokio::test]
            async fn $test() {
                $crate::clients::$module::$test($program).await;
            })+
        }
    };
}
