//! A hyper server with `CredentialLayer` in a `ServiceBuilder`. The keys are in a file.
//!
//! ```text
//! cargo run --example hyper_server
//! curl -i -X POST http://127.0.0.1:3001/v2.0/users/alice/OS-KSADM/credentials \
//!     -H 'X-Auth-Token: open-sesame' -H 'Content-Type: application/json' \
//!     -d '{"OS-KSEC2-ec2Credentials": {"username": "amy", "secret": "s3cr3t", "signature": ""}}'
//! ```

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    backend::sqlite::SqliteBackend,
    domain::{Caller, ProjectId, Quota, Scope, UserId},
};

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("the app behind the layer\n")))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = Caller::new(UserId::new("alice")?, Scope::Project(ProjectId::new("demo")?))
        .with_roles(["admin"]);
    let tokens = StaticTokens::new().with_token("open-sesame", "alice", alice);
    let file = std::env::temp_dir().join("hyper_server_credentials.db");
    let layer = CredentialLayer::builder(tokens, SqliteBackend::open(&file)?)
        .quota(Quota::AtMost(10))
        .build()?;
    let service = ServiceBuilder::new().layer(layer).service(service_fn(hello));

    let listener = TcpListener::bind("127.0.0.1:3001").await?;
    println!("Listening on http://{}, keys in {}", listener.local_addr()?, file.display());
    loop {
        let (socket, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            if let Err(error) =
                http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
            {
                eprintln!("connection ended: {error}");
            }
        });
    }
}
