//! `trunkline serve`: configuration, logging and runtime, then the gateway until a signal ends it.

use std::io::Write;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use super::flags::SettingFlags;
use super::{EXIT_USAGE, complain, runtime};
use crate::config::{self, Config};
use crate::gateway::Gateway;
use crate::net::ShutdownTrigger;
use crate::telemetry::init_logging;

/// Ended by a second signal, without finishing anything: the next start recovers.
const EXIT_AT_ONCE: i32 = 130;

pub(super) fn run(settings: SettingFlags) -> ExitCode {
    let config = match config::load(&settings.into_flags(), environment()) {
        Ok(loaded) => loaded.config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if let Err(error) = init_logging(config.telemetry.log_format, &config.telemetry.log_level) {
        complain(&error);
        return ExitCode::from(EXIT_USAGE);
    }
    log_panics();
    let Some(runtime) = runtime() else { return ExitCode::FAILURE };
    let outcome = runtime.block_on(serve(config));
    // What still computes a password hash need not be waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// The variables of this process that are text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

async fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let signals = Signals::new()?;
    let (trigger, shutdown) = ShutdownTrigger::new();
    tokio::spawn(signals.watch(trigger));
    let gateway = Gateway::open(config).await?;
    announce(&gateway.ready_block());
    gateway.run(shutdown).await?;
    Ok(())
}

/// A closed standard output is no reason not to serve.
fn announce(block: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(block.as_bytes()).and_then(|()| out.flush());
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// The first signal asks for an orderly end, the second one is the end.
    async fn watch(mut self, trigger: ShutdownTrigger) {
        let name = self.next().await;
        info!(signal = name, "asked to end; once more ends at once");
        trigger.request();
        let name = self.next().await;
        error!(signal = name, "ending at once");
        std::process::exit(EXIT_AT_ONCE);
    }
}

/// A panic takes down one connection's task. It is a fault of ours and has to stand in the log in the log's own format.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        error!(place, panic = text.unwrap_or("unknown"), %backtrace, "a task panicked");
    }));
}
