//! Syncs and writes of the journal that fail: every writer is told, `/readyz` says why, and a restart has all that was acknowledged.

use std::time::Duration;

use super::clients::{elements, messages, metric, produce, producer, publish_once, push, readyz, records};
use super::machine::Tracer;
use super::support::{Gateway, eventually};

const SHORT: Duration = Duration::from_secs(3);

/// Writes a value in each dialect; what each of them said if it was not acknowledged.
async fn write(gateway: &Gateway, value: &str) -> [Result<(), String>; 3] {
    let pushed = push(gateway, value.as_bytes()).await.map(drop).map_err(|error| error.to_string());
    let produced = produce(&producer(gateway, SHORT), value).await.map_err(|code| code.to_string());
    [pushed, produced, publish_once(gateway, value).await]
}

async fn all_fails_and_is_there_after_a_restart(calls: &str) {
    let mut gateway = Gateway::start();
    assert_eq!(write(&gateway, "kept").await, [const { Ok(()) }; 3]);
    let Some(tracer) = Tracer::inject(gateway.pid(), &format!("{calls}:error=EIO")) else {
        return eprintln!("left out: strace cannot be used here");
    };
    let [pushed, produced, published] = write(&gateway, "lost").await;
    drop(tracer);
    for told in [&pushed, &produced, &published] {
        assert!(told.is_err(), "it is not on disk: {pushed:?}, {produced:?}, {published:?}");
    }
    let reason = eventually("readyz says so", || async {
        let (status, reason) = readyz(&gateway).await;
        (status == 503).then_some(reason)
    });
    let reason = reason.await;
    assert!(reason.contains("writing the journal") && reason.contains("Input/output error"), "{reason}");
    assert_eq!(metric(&gateway, "trunkline_log_poisoned").await, 1.0);
    // What succeeds now proves nothing.
    let [pushed, produced, published] = write(&gateway, "later").await;
    assert!(pushed.clone().is_err_and(|told| told.contains("MISCONF")), "{pushed:?}");
    assert!(produced.is_err() && published.is_err(), "{produced:?} {published:?}");
    gateway.crash();
    assert_eq!(readyz(&gateway).await.0, 200);
    for found in [elements(&gateway).await, records(&gateway), messages(&gateway).await] {
        assert_eq!(found.first().map(String::as_str), Some("kept"), "{found:?}");
        assert!(!found.contains(&"later".to_owned()), "{found:?}");
    }
    assert_eq!(write(&gateway, "again").await, [const { Ok(()) }; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_is_told_to_every_writer_and_on_readyz_and_nothing_acknowledged_is_lost() {
    all_fails_and_is_there_after_a_restart("fdatasync,fsync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_told_to_every_writer_and_on_readyz_and_nothing_acknowledged_is_lost() {
    all_fails_and_is_there_after_a_restart("pwrite64").await;
}
