//! Metrics of the management plane.

use std::{convert::Infallible, future::ready, pin::pin, task::Context};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use test_support::{
    counting::allocations,
    world::{ALICE, DEMO, World, pair},
};
use tower::{Layer, Service, service_fn};
use tower_credentials::metrics::ALL;

use crate::recorder::Recorded;

fn world(recorded: &Recorded) -> World {
    recorded.within(World::new)
}

#[tokio::test]
async fn requests_are_counted_by_dialect_operation_and_status() {
    let recorded = Recorded::default();
    let world = world(&recorded);
    world.mint(ALICE, DEMO, "key-1").await;
    let again = world.post("/credentials").token("dev-admin").json(&pair(ALICE, DEMO, "key-1"));
    assert_eq!(again.send().await.status, 409);
    assert_eq!(world.get("/v3/credentials").token("dev-admin").send().await.status, 200);
    assert_eq!(world.call("PUT", "/credentials").token("dev-admin").send().await.status, 405);
    let os_ec2 = format!("/v3/users/{ALICE}/credentials/OS-EC2");
    assert_eq!(world.get(&os_ec2).send().await.status, 401);
    let grants = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    assert_eq!(world.get(&grants).token("dev-admin").send().await.status, 200);
    let count = |dialect: &str, operation: &str, status: &str| {
        recorded.value(&format!(
            "tower_credentials_requests_total{{dialect=\"{dialect}\",operation=\"{operation}\",\
             status=\"{status}\"}}"
        ))
    };
    for (dialect, operation, status) in [
        ("ibm_cos", "create", "2xx"),
        ("ibm_cos", "create", "4xx"),
        ("ibm_cos", "other", "4xx"),
        ("keystone_v3", "list", "2xx"),
        ("os_ec2", "list", "4xx"),
        ("keystone_v2", "list", "2xx"),
    ] {
        assert!((count(dialect, operation, status) - 1.0).abs() < 0.1, "{dialect} {operation}");
    }
    let durations = "tower_credentials_request_duration_seconds";
    let timed = recorded.value(&format!("{durations}{{dialect=\"ibm_cos\",operation=\"create\"}}"));
    assert!((timed - 2.0).abs() < 0.1, "{timed}");
    // Six counts and five durations: nothing else was recorded.
    assert_eq!(recorded.used().len(), 11, "{:?}", recorded.used());
}

#[test]
fn handles_are_made_when_the_layer_is_built_and_never_later() {
    let recorded = Recorded::default();
    let world = world(&recorded);
    let (records, registrations) = recorded.calls();
    assert_eq!(records, 0);
    assert!(registrations > 100, "{registrations}");
    // The recorder is there during the requests, and would see a new handle.
    recorded.within(|| {
        tokio_test::block_on(async {
            for index in 0..100 {
                let path = format!("/v3/users/user-{index}/credentials/OS-EC2/key-{index}");
                world.get(&path).token("dev-admin").send().await;
                world.get(&format!("/credentials/key-{index}")).token("nobody").send().await;
            }
        });
    });
    assert_eq!(recorded.calls(), (400, registrations));
    let known: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
    for name in recorded.names() {
        assert!(known.contains(&&*name), "{name} is not in the list");
    }
}

#[test]
fn request_that_passes_through_records_and_allocates_nothing() {
    let recorded = Recorded::default();
    let app = service_fn(|_: Request<Full<Bytes>>| {
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let mut service = world(&recorded).layer.layer(app);
    let before = recorded.calls();
    let request = Request::get("/mine").body(Full::default()).unwrap();
    let mut context = Context::from_waker(std::task::Waker::noop());
    let (response, allocated) = allocations(|| {
        let future = pin!(service.call(request));
        future.poll(&mut context)
    });
    assert!(response.is_ready());
    assert_eq!((allocated, recorded.calls()), (0, before));
}
