//! The conformance suites, on one shared database and on one whose transactions are serializable
//! by default.

use tokio::sync::OnceCell;
use tower_credentials::backend::postgres::PostgresBackend;

use crate::lab;

/// The database of the suite; `None` if PostgreSQL is not installed.
async fn url() -> Option<&'static str> {
    static URL: OnceCell<Option<String>> = OnceCell::const_new();
    URL.get_or_init(lab::database).await.as_deref()
}

/// Each test has its own connections, which end with its runtime.
async fn backend() -> Option<PostgresBackend> {
    Some(PostgresBackend::open(url().await?).await.unwrap())
}

async fn backend_twice() -> Option<(PostgresBackend, PostgresBackend)> {
    let backend = backend().await?;
    Some((backend.clone(), backend))
}

async fn serializable_url() -> Option<&'static str> {
    static URL: OnceCell<Option<String>> = OnceCell::const_new();
    let make = || async {
        let url = lab::database().await?;
        let client = lab::connect(&url).await;
        let name: String = client.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
        let set = format!("ALTER DATABASE {name} SET default_transaction_isolation = serializable");
        client.batch_execute(&set).await.unwrap();
        Some(url)
    };
    URL.get_or_init(make).await.as_deref()
}

async fn serializable_backend() -> Option<PostgresBackend> {
    Some(PostgresBackend::open(serializable_url().await?).await.unwrap())
}

tower_credentials::__conformance_cases!({ test_support::live_suite }(backend));

mod bulk {
    use super::*;

    tower_credentials::__bulk_load_conformance_cases!({ test_support::live_suite }(
        bulk,
        backend_twice
    ));
}

mod feed {
    use super::*;

    tower_credentials::__feed_conformance_cases!({ test_support::live_suite }(feed, backend_twice));
}

mod usage {
    use super::*;

    tower_credentials::__usage_conformance_cases!({ test_support::live_suite }(
        usage,
        backend_twice
    ));
}

mod serializable {
    use super::*;

    async fn twice() -> Option<(PostgresBackend, PostgresBackend)> {
        let backend = serializable_backend().await?;
        Some((backend.clone(), backend))
    }

    mod bulk {
        use super::*;

        tower_credentials::__bulk_load_conformance_cases!({ test_support::live_suite }(
            bulk, twice
        ));
    }

    mod feed {
        use super::*;

        tower_credentials::__feed_conformance_cases!({ test_support::live_suite }(feed, twice));
    }

    tower_credentials::__conformance_cases!({ test_support::live_suite }(serializable_backend));
}
