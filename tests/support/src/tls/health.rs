//! The check of the certificate.

use time::Duration;

use super::{authority::DAY, lab::Lab};
use crate::{process::Program, serving::health::ready_with};

pub async fn certificate_that_ends_soon_is_degraded_and_an_expired_one_is_unready(
    program: Program,
) {
    let lab = Lab::start(program).await;
    // The server does not read the files again for this client's connection.
    let client = lab.client();
    let text = ready_with(&client, 200, "certificate: degraded: expires at ").await;
    assert!(text.starts_with("store: ok\n"), "{text}");
    lab.files.write(&lab.files.authority.issue_from(2, -DAY, DAY * 15));
    ready_with(&client, 200, "certificate: ok\n").await;
    lab.files.write(&lab.files.authority.issue_from(3, -DAY, Duration::seconds(8)));
    ready_with(&client, 503, "certificate: failed: expired at ").await;
}
