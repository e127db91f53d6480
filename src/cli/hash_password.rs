//! `trunkline hash-password`: turns a password into what `[security.users]` takes.

use std::io::Read;
use std::process::ExitCode;

use super::complain;
use crate::security::hash_password;

#[allow(clippy::print_stdout, reason = "printing is what this command is for")]
pub(super) fn run() -> ExitCode {
    let mut password = String::new();
    if let Err(error) = std::io::stdin().lock().take(64 * 1024).read_to_string(&mut password) {
        complain(&format_args!("the password cannot be read from standard input: {error}"));
        return ExitCode::FAILURE;
    }
    match hash_password(password.trim_end_matches(['\r', '\n']).as_bytes()) {
        Ok(hash) => {
            println!("{hash}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
