//! Tests of how a server serves: sources and ids of requests, log, health, shutdown, connections.
//!
//! [`serving_tests!`](crate::serving_tests) generates the tests for one server.

pub mod connections;
pub mod health;
pub mod log;
pub mod proxies;
pub mod starting;
pub mod stopping;

/// Generates the tests for one server, a [`Program`](crate::process::Program).
#[macro_export]
macro_rules! serving_tests {
    ($program:expr) => {
        $crate::serving_tests! { @modules $program;
            connections {
                request_is_served_while_idle_connections_fill_every_place
                running_requests_and_new_connections_keep_their_places
            }
            health {
                ready_server_names_each_part
                missing_store_makes_the_server_unready_until_it_is_back
                signed_requests_and_queries_are_not_health_checks
            }
            log {
                each_request_is_one_line_without_its_query
                long_paths_and_methods_are_cut
                request_that_is_cut_off_is_logged
                json_lines_have_the_same_fields
            }
            proxies {
                addresses_count_from_a_trusted_proxy_only
                request_ids_count_from_a_trusted_proxy_only
                value_that_is_not_a_network_is_rejected
            }
            starting {
                version_is_that_of_the_library
            }
            stopping {
                readiness_fails_first_while_requests_are_served
                second_signal_ends_the_process_at_once
                service_manager_is_notified
            }
        }
    };
    (@modules $program:expr; $($module:ident { $($test:ident)+ })+) => {
        $($crate::serving_tests! { @module $program; $module { $($test)+ } })+
    };
    (@module $program:expr; $module:ident { $($test:ident)+ }) => {
        mod $module {
            $(#[tokio::test]
            async fn $test() {
                $crate::serving::$module::$test($program).await;
            })+
        }
    };
}
