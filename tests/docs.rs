//! Pages that are made of tables in the code stay in step with them. `BLESS=1 cargo test --test docs` writes them anew.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use trunkline::telemetry::METRICS;

const BEGIN: &str = "<!-- table: begin -->\n";
const END: &str = "<!-- table: end -->";

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// Holds what stands between the two marks of a page to `table`.
fn hold(name: &str, table: &str) {
    let path = page(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("docs/{name}: {error}"));
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("docs/{name} has no {BEGIN}"));
    let (found, after) = rest.split_once(END).unwrap_or_else(|| panic!("docs/{name} has no {END}"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("write");
        return;
    }
    assert!(found == table, "docs/{name} and the code differ. In the code:\n{table}");
}

#[test]
fn the_page_of_metrics_lists_every_metric() {
    let mut table = String::from("| metric | kind | unit | labels | what it says |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, unit, help) = (metric.name, metric.kind.word(), metric.unit, metric.help);
        writeln!(table, "| `{name}` | {kind} | {unit} | {} | {help} |", labels.join(", ")).expect("text");
    }
    hold("metrics.md", &table);
}

#[test]
fn the_page_of_redis_lists_every_command() {
    use trunkline::dialect::redis::support::{COMMANDS, REFUSED};

    let mut table = String::from("| command | since | what it does |\n|---|---|---|\n");
    for spec in COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands)) {
        let name = spec.name.replace('|', " ").to_uppercase();
        writeln!(table, "| `{name}` | {} | {} |", spec.since, spec.summary).expect("text");
    }
    table.push_str("\nRefused with a reason:\n\n| command | why |\n|---|---|\n");
    for (name, reason) in REFUSED {
        writeln!(table, "| `{}` | {reason} |", name.to_uppercase()).expect("text");
    }
    hold("compat/redis.md", &table);
}
