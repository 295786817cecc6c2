//! The commands to try that a server prints when it listens.

use std::{convert::Infallible, error::Error};

use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use serde::Deserialize;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_credentials::CredentialLayer;

const TOKEN: &str = "dev-alice";
const NEW_KEY: &str = r#"{"credential": {"type": "ec2"}}"#;

/// A key for the first commands.
#[derive(Deserialize)]
pub struct DemoKey {
    access: String,
    secret: String,
}

#[derive(Deserialize)]
struct Created {
    credential: Credential,
}

#[derive(Deserialize)]
struct Credential {
    blob: DemoKey,
}

impl DemoKey {
    /// Creates a key for `alice` of the development identities, through the layer.
    ///
    /// # Errors
    ///
    /// The layer rejects the request; the message contains its response.
    pub async fn create(layer: &CredentialLayer) -> Result<Self, Box<dyn Error>> {
        let not_found =
            service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
        let request = Request::post("/credentials/")
            .header("x-auth-token", TOKEN)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::<Bytes>::from(NEW_KEY))?;
        let response = layer.layer(not_found).oneshot(request).await?;
        let (status, body) = (response.status(), response.into_body().collect().await?.to_bytes());
        if !status.is_success() {
            let body = String::from_utf8_lossy(&body);
            return Err(format!("cannot create the demo key: {status}: {body}").into());
        }
        Ok(serde_json::from_slice::<Created>(&body)?.credential.blob)
    }
}

/// Prints the URL, and commands for another terminal.
///
/// The commands use the demo key. Without one, the command creates a key with a development token.
/// An operator's own identities do not have that token: unless the identities `are_public`, there
/// are no commands.
pub fn print(url: &str, are_public: bool, key: Option<&DemoKey>) {
    let json = "-H 'Content-Type: application/json'";
    let Some(DemoKey { access, secret }) = key else {
        if !are_public {
            println!("Listening on {url}.\n");
            return;
        }
        println!("Listening on {url}. To create a key, run in another terminal:\n");
        println!("curl -sS {url}/credentials/ -H 'X-Auth-Token: {TOKEN}' {json} -d '{NEW_KEY}'\n");
        return;
    };
    println!("Listening on {url}. Paste into another terminal:\n");
    println!("export AWS_ACCESS_KEY_ID={access}");
    println!("export AWS_SECRET_ACCESS_KEY={secret}\n");
    println!("aws --endpoint-url {url} s3 mb s3://demo; aws --endpoint-url {url} s3 ls\n");
    println!("To disable the key:\n");
    println!(
        "curl -sS -X PATCH {url}/credentials/{access} -H 'X-Auth-Token: {TOKEN}' {json} \
         -d '{{\"credential\": {{\"blob\": {{\"status\": \"Inactive\"}}}}}}'\n"
    );
}
