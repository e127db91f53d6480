//! `trunkline check-config`: what would be in force, and what set it.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::flags::SettingFlags;
use super::{EXIT_USAGE, complain};
use crate::config::{self, Origin};

#[allow(clippy::print_stdout, reason = "printing is what this command is for")]
pub(super) fn run(settings: SettingFlags) -> ExitCode {
    match config::load(&settings.into_flags(), super::serve::environment()) {
        Ok(loaded) => {
            print!("{}", table(&loaded.origins));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// One line a key, TOML on the left, its source behind a comment sign.
fn table(origins: &[Origin]) -> String {
    let setting = |origin: &Origin| format!("{} = {}", origin.key, origin.value);
    let width = origins.iter().map(|origin| setting(origin).chars().count()).max().unwrap_or(0);
    origins.iter().fold(String::new(), |mut text, origin| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<width$}  # {}", setting(origin), origin.source);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_stand_in_one_column() {
        let origin = |key: &str, value: &str, source: &str| Origin {
            key: key.to_owned(),
            value: value.to_owned(),
            source: source.to_owned(),
        };
        let origins = [origin("a", "1", "default"), origin("long.key", "\"x\"", "TRUNKLINE_LONG__KEY")];
        assert_eq!(table(&origins), "a = 1           # default\nlong.key = \"x\"  # TRUNKLINE_LONG__KEY\n");
    }
}
