//! `trunkline compare`: a client of whatever addresses it is given, in a runtime of its own.

use std::process::ExitCode;

use super::{complain, runtime};
use crate::compare::{self, Args};

pub(super) fn run(args: Args) -> ExitCode {
    let Some(runtime) = runtime() else { return ExitCode::FAILURE };
    match runtime.block_on(compare::run(args)) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
