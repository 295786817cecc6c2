//! An axum app with its own routes that also creates S3 access keys.
//!
//! ```text
//! cargo run --example axum_minimal
//! curl -i -X POST http://127.0.0.1:3000/credentials -H 'X-Auth-Token: open-sesame' \
//!     -H 'Content-Type: application/json' -d '{"credential": {"type": "ec2"}}'
//! ```

use axum::{Router, routing::get};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    backend::memory::MemoryBackend,
    domain::{Caller, ProjectId, Scope, UserId},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = Caller::new(UserId::new("alice")?, Scope::Project(ProjectId::new("demo")?))
        .with_roles(["key_management_user", "key_listing_user"]);
    let tokens = StaticTokens::new().with_token("open-sesame", "alice", alice);

    let app = Router::new()
        .route("/", get(|| async { "a route of the app\n" }))
        .layer(CredentialLayer::new(tokens, MemoryBackend::default()));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("Listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
