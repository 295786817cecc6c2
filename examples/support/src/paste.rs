//! The lines to paste.

use std::net::SocketAddr;

/// Prints where the server listens, and three lines to paste.
pub fn print_lines(address: SocketAddr) {
    let url = format!("http://{address}");
    let json = "-H 'Content-Type: application/json'";
    println!("Listening on {url}. Paste into another terminal:\n");
    println!(
        "eval \"$(curl -sS {url}/credentials/ -H 'X-Auth-Token: dev-alice' {json} \
         -d '{{\"credential\": {{\"type\": \"ec2\"}}}}' | tee /dev/stderr | \
         sed -E 's/.*\"access\":\"([^\"]*)\",\"secret\":\"([^\"]*)\".*/export \
         AWS_ACCESS_KEY_ID=\\1 AWS_SECRET_ACCESS_KEY=\\2 AWS_DEFAULT_REGION=us-east-1/')\""
    );
    println!("aws --endpoint-url {url} s3 mb s3://demo && aws --endpoint-url {url} s3 ls");
    println!(
        "curl -sS -X PATCH {url}/credentials/$AWS_ACCESS_KEY_ID -H 'X-Auth-Token: dev-alice' \
         {json} -d '{{\"credential\": {{\"blob\": {{\"status\": \"Inactive\"}}}}}}' && \
         aws --endpoint-url {url} s3 ls\n"
    );
}
