//! `trunkline compare`: one workload under four delivery models, and a verdict for every record.
//!
//! An outside client. It speaks through lapin, redis and rdkafka alone and shares no code with the dialects, the delivery
//! layer or the log, so that a fault of ours cannot hide in both ends; it works as well against RabbitMQ, Redis and Kafka.
//! Reading order: [`args`] what may be asked, [`plan`] the workload, [`payload`] what each record carries, [`ledger`] the
//! verdict (pure), [`models`] the four ways of moving a record, [`drive`] one run, [`report`] what comes out.

mod args;
mod clock;
mod consume;
mod drive;
mod fault;
mod ledger;
mod models;
mod payload;
mod plan;
mod produce;
mod progress;
mod report;
mod score;
mod victim;

use std::io::Write;
use std::process::ExitCode;

pub use args::Args;
pub use fault::CompareError;
pub use ledger::{Audience, Ledger, Tally};
pub use report::{Latency, ModelReport, Report, SCHEMA};

use plan::Plan;

/// Runs the comparison that the arguments describe and prints its table.
///
/// The code is success when every model ran and kept what it promises ([`ModelReport::broken`]), failure otherwise.
///
/// # Errors
/// When the arguments contradict each other, or the report cannot be written. A model that fails is part of the report.
pub async fn run(args: Args) -> Result<ExitCode, CompareError> {
    if let Some(task) = &args.victim {
        return victim::work(task).await;
    }
    let plan = Plan::from_args(&args)?;
    let report = tokio::select! {
        report = drive::run_all(&plan) => report,
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(CompareError::Output)?;
            drive::clean_all(&plan).await;
            return Err(CompareError::Interrupted);
        }
    };
    publish(&report, args.json.as_deref())?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the table (not when the JSON takes standard output) and writes the JSON where it was asked for.
fn publish(report: &Report, json: Option<&std::path::Path>) -> Result<(), CompareError> {
    let mut stdout = std::io::stdout().lock();
    if json.is_some_and(|path| path.as_os_str() == "-") {
        writeln!(stdout, "{}", report.to_json()?).map_err(CompareError::Output)?;
        return Ok(());
    }
    write!(stdout, "{}", report.table()).map_err(CompareError::Output)?;
    if let Some(path) = json {
        std::fs::write(path, report.to_json()? + "\n").map_err(CompareError::Output)?;
        writeln!(stdout, "JSON: {}", path.display()).map_err(CompareError::Output)?;
    }
    Ok(())
}
