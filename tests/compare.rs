//! `trunkline compare` against a gateway: what its report says of each model, with and without a consumer killed.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod support;

use std::process::Command;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use support::Gateway;

/// Runs the comparison and returns its JSON report.
fn compare(gateway: &Gateway, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["compare", "--json", "-"])
        .args(["--kafka", &gateway.kafka(), "--amqp", &gateway.amqp(), "--redis", &gateway.redis()])
        .args(arguments)
        .output()
        .expect("the program starts");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.success(), holds(&report), "the exit code says what the report says: {report:#}");
    report
}

fn holds(report: &Value) -> bool {
    models(report).all(|model| model["broken"].is_null())
}

fn models(report: &Value) -> impl Iterator<Item = &Value> {
    report["models"].as_array().expect("models").iter()
}

#[test]
fn without_a_failure_every_model_delivers_everything_once_and_in_order() {
    let gateway = Gateway::start();
    let report = compare(&gateway, &["--records", "4000", "--rate", "0"]);
    assert!(holds(&report), "{report:#}");
    assert_eq!(report["schema"], "trunkline.compare/1");
    assert_eq!(models(&report).count(), 4);
    for model in models(&report) {
        let copies = if model["model"] == "pubsub" { 2 } else { 1 };
        assert_eq!(model["sent"], 4000, "{model:#}");
        assert_eq!(model["delivered"], 4000 * copies, "{model:#}");
        for none in ["lost", "duplicated", "out_of_order", "corrupt", "foreign", "refused"] {
            assert_eq!(model[none], 0, "{none}: {model:#}");
        }
    }
}

#[test]
fn when_a_consumer_is_killed_each_model_keeps_its_promise_and_no_more() {
    let gateway = Gateway::start();
    let report = compare(&gateway, &["--records", "4000", "--rate", "2000", "--scenario", "consumer-killed"]);
    assert!(holds(&report), "{report:#}");
    for model in models(&report) {
        assert_eq!(model["consumer_killed"], true, "{model:#}");
        let (lost, duplicated) = (model["lost"].as_u64().unwrap(), model["duplicated"].as_u64().unwrap());
        match model["model"].as_str().unwrap() {
            // The finished half of a lot comes again, unless it could be settled in a lull just before.
            "queue" | "group" => assert_eq!(lost, 0, "{model:#}"),
            // The record in its hands; under pub/sub also what was published while nobody listened.
            "list" => assert_eq!((lost, duplicated), (1, 0), "{model:#}"),
            "pubsub" => assert!(lost > 0 && duplicated == 0, "{model:#}"),
            other => panic!("an unknown model: {other}"),
        }
    }
}

#[test]
fn a_run_leaves_no_name_behind() {
    let gateway = Gateway::start();
    compare(&gateway, &["--records", "100", "--rate", "0"]);
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", gateway.kafka()).create().unwrap();
    let metadata = client.fetch_metadata(None, support::PATIENCE).unwrap();
    let left: Vec<_> = metadata.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with("compare-")).collect();
    assert_eq!(left, Vec::<&str>::new());
}

#[test]
fn a_broker_that_is_not_there_is_a_fault_in_the_report() {
    let gateway = Gateway::start();
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["compare", "--json", "-", "--models", "list", "--records", "10", "--redis"])
        // The HTTP listener speaks no Redis.
        .arg(format!("redis://{}/", gateway.addresses().http))
        .output()
        .expect("the program starts");
    assert!(!output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["models"][0]["broken"].is_string(), "{report:#}");
}
