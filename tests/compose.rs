//! `docker-compose.yml` can be read, and starts what it promises.

use std::fs;

use serde_json::Value;

use crate::sandbox::root;

fn compose() -> Value {
    let path = root().join("docker-compose.yml");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn it_starts_kafka_and_every_role_of_weir() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    assert!(services["kafka"]["image"].as_str().is_some_and(|image| image.starts_with("apache/kafka:")));
    let commands: Vec<&str> = services
        .values()
        .filter_map(|service| service["command"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for role in ["registry", "enforcer"] {
        assert!(commands.contains(&role), "no service runs the role {role}");
    }
}

#[test]
fn services_are_only_reached_from_this_machine() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().expect("services") {
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().unwrap_or_else(|| panic!("{name}: ports are written as text"));
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port} to the network");
        }
    }
}

#[test]
fn what_depends_on_a_service_waits_until_it_is_healthy() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    for (name, service) in services {
        for (on, how) in service["depends_on"].as_object().into_iter().flatten() {
            let condition = how["condition"].as_str().unwrap_or_default();
            assert!(
                condition == "service_completed_successfully"
                    || condition == "service_healthy" && services[on]["healthcheck"].is_object(),
                "{name} does not wait for {on} to serve"
            );
        }
    }
}
