//! Whether Keystone is up.

use http::Method;
use test_support::keystone::Keystone;
use tower_credentials::keystone::{KeystoneClient, ServiceLogin};

use crate::recorder::Recorded;

#[tokio::test]
async fn keystone_is_up_unless_the_last_call_failed() {
    let (recorded, keystone) = (Recorded::default(), Keystone::start().await);
    let login = ServiceLogin::password("s3", "pw", "service");
    let builder = KeystoneClient::builder(&*keystone.url).login(login);
    let client = recorded.within(|| builder.build()).unwrap();
    let is_up = || recorded.value("tower_credentials_keystone_up") > 0.5;
    assert!(is_up(), "before the first call");
    let call = || client.call(Method::GET, "/users/nobody", None);
    for (status, expected) in [(503, false), (404, true), (500, false)] {
        keystone.fail(&Method::GET, "/v3/users/nobody", status);
        assert_eq!(call().await.unwrap().status.as_u16(), status);
        assert_eq!(is_up(), expected, "{status}");
        keystone.clear_faults();
    }
}

#[tokio::test]
async fn keystone_that_cannot_be_reached_is_down() {
    let recorded = Recorded::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let builder = KeystoneClient::builder(url).login(ServiceLogin::system("s3", "pw"));
    let client = recorded.within(|| builder.build()).unwrap();
    client.call(Method::GET, "/users/nobody", None).await.unwrap_err();
    assert!(recorded.used().is_empty(), "{:?}", recorded.used());
}
