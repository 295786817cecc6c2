//! Real S3 clients, each with its tests against any server of the workspace.
//!
//! [`client_tests!`](crate::client_tests) makes a test of each for one server.

pub mod aws_sigv4;
pub mod curl;
pub mod hello;
pub mod lifecycle;
pub mod log_lines;
pub mod loopback;
pub mod object_store;
pub mod python;
pub mod rclone;
pub mod rusty_s3;
pub mod s3cmd;
pub mod secret_files;

/// Makes the tests of all clients against one server, a [`Program`](crate::process::Program).
#[macro_export]
macro_rules! client_tests {
    ($program:expr) => {
        $crate::client_tests! { @modules $program;
            aws_sigv4 {
                aws_sigv4_over_http_2_uses_a_key_of_any_origin_until_it_is_disabled
            }
            curl {
                curl_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
                curl_does_so_over_http_2
            }
            hello {
                the_hello_mint_a_key_use_it_and_lock_it_out
            }
            log_lines {
                hostile_paths_ids_and_headers_are_escaped_in_the_log
            }
            loopback {
                the_development_tokens_work_for_loopback_hosts_only
                the_refusal_of_a_foreign_host_says_how_to_set_other_tokens
                signed_requests_work_for_every_host
                tokens_of_a_file_work_for_every_host
            }
            object_store {
                object_store_uses_a_key_of_any_origin_until_it_is_disabled
                object_store_does_so_without_signing_payloads
            }
            python {
                boto3_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
                the_script_for_boto3_can_fail
                the_aws_command_line_uses_a_key_of_any_origin_until_it_is_disabled
            }
            rclone {
                rclone_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
            }
            rusty_s3 {
                rusty_s3_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
                an_unknown_key_and_a_wrong_secret_are_told_apart_as_in_aws
                a_bucket_called_credentials_is_the_stores_when_the_request_is_signed
            }
            s3cmd {
                s3cmd_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled
                s3cmd_does_with_signatures_of_version_2_where_they_are_admitted
            }
            secret_files {
                identities_that_others_can_read_or_write_are_refused
                key_ring_that_others_can_read_or_write_is_refused
                url_file_that_others_can_read_or_write_is_refused
                reload_of_identities_that_others_can_read_keeps_the_old_ones
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
