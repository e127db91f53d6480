//! Which tallies break which promise, and that table and JSON say the same.

use super::*;

fn judged(promise: Promise, scenario: Scenario, tally: Tally) -> Option<String> {
    broken_promise(promise, scenario, scenario == Scenario::ConsumerKilled, &tally, &[])
}

fn whole() -> Tally {
    Tally { attempted: 10, sent: 10, delivered: 10, distinct: 10, ..Tally::default() }
}

#[test]
fn in_a_steady_run_nothing_may_be_lost_doubled_or_out_of_order() {
    for promise in [Promise::AtLeastOnce, Promise::AtMostOnce, Promise::WhoListens] {
        assert_eq!(judged(promise, Scenario::Steady, whole()), None);
        for wrong in [
            Tally { lost: 1, ..whole() },
            Tally { duplicated: 1, ..whole() },
            Tally { out_of_order: 1, ..whole() },
            Tally { corrupt: 1, ..whole() },
            Tally { refused: 1, ..whole() },
        ] {
            assert!(judged(promise, Scenario::Steady, wrong).is_some(), "{promise:?} {wrong:?}");
        }
    }
}

#[test]
fn when_a_consumer_dies_at_least_once_may_double_but_not_lose() {
    let killed = Scenario::ConsumerKilled;
    assert_eq!(judged(Promise::AtLeastOnce, killed, Tally { duplicated: 3, out_of_order: 2, ..whole() }), None);
    assert!(judged(Promise::AtLeastOnce, killed, Tally { lost: 1, ..whole() }).is_some());
}

#[test]
fn when_a_consumer_dies_at_most_once_may_lose_but_not_double() {
    for promise in [Promise::AtMostOnce, Promise::WhoListens] {
        assert_eq!(judged(promise, Scenario::ConsumerKilled, Tally { lost: 1, ..whole() }), None);
        assert!(judged(promise, Scenario::ConsumerKilled, Tally { duplicated: 1, ..whole() }).is_some());
    }
}

#[test]
fn a_scenario_that_did_not_happen_is_no_success() {
    let verdict = broken_promise(Promise::AtLeastOnce, Scenario::ConsumerKilled, false, &whole(), &[]);
    assert_eq!(verdict.as_deref(), Some("no consumer held a record to be killed with"));
}

#[test]
fn table_and_json_say_the_same() {
    let mut histogram = Histogram::new(3).unwrap();
    histogram.record(1_500).unwrap();
    let outcome = Outcome {
        tally: Tally { lost: 2, ..whole() },
        latency: Some(Latency::of(&histogram)),
        records_per_s: 1234.5,
        faults: vec![],
    };
    let model = ModelReport::new(ModelKind::List, Scenario::ConsumerKilled, true, outcome);
    let report = Report {
        schema: SCHEMA,
        run: "1".to_owned(),
        scenario: Scenario::ConsumerKilled,
        targets: Targets { kafka: "k".to_owned(), amqp: "a".to_owned(), redis: "r".to_owned() },
        workload: Workload {
            records: 10,
            rate_per_s: 0,
            size_bytes: 100,
            producers: 1,
            consumers: 1,
            window: 1,
            lot: 1,
            linger_ms: 0,
        },
        models: vec![model],
    };
    let table = report.table();
    let row: Vec<_> = table.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(row, ["list", "10", "10", "1.00", "2", "0", "0", "1,235", "1.50", "1.50", "1.50"]);
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!(json["models"][0]["model"], "list");
    assert_eq!(json["models"][0]["lost"], 2);
    assert_eq!(json["models"][0]["latency"]["p50_ms"], 1.5);
    assert_eq!(json["scenario"], "consumer-killed");
    assert!(report.holds());
}

#[test]
fn thousands_are_grouped() {
    assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(grouped).each_ref().map(String::as_str));
}
