//! Tests of TLS, for all servers of the workspace.
//!
//! [`tls_tests!`](crate::tls_tests) generates the tests for one server.

pub mod authority;
pub mod broken;
pub mod clients;
pub mod handshakes;
pub mod health;
pub mod lab;
pub mod reloading;
pub mod requests;
pub mod starting;

/// Generates the tests of TLS for one server, a [`Program`](crate::process::Program).
#[macro_export]
macro_rules! tls_tests {
    ($program:expr) => {
        $crate::tls_tests! { @modules $program;
            clients {
                object_store_uses_a_key_over_tls
                boto3_creates_a_key_and_uses_it_over_tls
                aws_command_line_uses_a_key_over_tls
                openstack_command_line_lists_credentials_over_tls
            }
            handshakes {
                both_versions_of_tls_and_of_http_are_served
                plain_http_fails_at_once
                idle_connections_end_with_close_notify
                stalled_handshakes_block_no_other_client_and_end
                shutdown_waits_for_requests_but_not_for_stalled_handshakes
            }
            health {
                certificate_that_ends_soon_is_degraded_and_an_expired_one_is_unready
            }
            reloading {
                sighup_replaces_the_certificate_for_new_connections
                changed_files_replace_the_certificate
                broken_files_leave_the_old_certificate_in_use
                half_written_files_are_read_again
                certificate_that_is_not_valid_yet_is_used_when_it_is
            }
            requests {
                conditions_see_the_version_of_tls
                links_start_with_https_and_the_host_of_the_request
                links_start_with_the_base_url
            }
            starting {
                broken_files_prevent_the_start
                certificate_and_key_require_each_other
                development_identities_require_a_loopback_address_with_tls
                printed_commands_use_https
            }
        }
    };
    (@modules $program:expr; $($module:ident { $($test:ident)+ })+) => {
        $($crate::tls_tests! { @module $program; $module { $($test)+ } })+
    };
    (@module $program:expr; $module:ident { $($test:ident)+ }) => {
        mod $module {
            $(#[tokio::test]
            async fn $test() {
                $crate::tls::$module::$test($program).await;
            })+
        }
    };
}
