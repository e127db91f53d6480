//! The rules of the house, held by reading the source: who may know whom, what a file looks like, and words that have no place.
//!
//! `ARCHITECTURE.md` says why each rule is there. An exception is written down here, with its reason, or it does not exist.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "tidy/source.rs"]
mod source;

use source::{Source, sources, words};

const DIALECTS: [&str; 3] = ["kafka", "amqp", "redis"];
const FILE_LINES_MAX: usize = 600;
const HEADER_LINES_MAX: usize = 10;
const FUNCTION_LINES: usize = 70;
const FUNCTION_LINES_MAX: usize = 150;
/// How many functions of a hundred may be longer than [`FUNCTION_LINES`].
const LONG_FUNCTIONS_PERCENT_MAX: usize = 3;

/// Fails with all findings at once.
fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}\n", found.join("\n  "));
}

/// Files of `src` whose path inside it begins with one of `places`, and a word that must not occur in their code.
fn occurrences(places: &[&str], wanted: impl Fn(&Source, &str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources("src").iter().filter(|file| places.iter().any(|place| file.inside().starts_with(place))) {
        for (number, line) in file.product.lines().enumerate() {
            if let Some(what) = wanted(file, line) {
                found.push(format!("{}:{}: {what}", file.path, number + 1));
            }
        }
    }
    found
}

fn mentions<'a>(line: &str, paths: &[&'a str]) -> Option<&'a str> {
    let continues = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    paths.iter().copied().find(|path| line.match_indices(path).any(|(at, _)| !continues(&line[at + path.len()..])))
}

#[test]
fn dialects_never_import_each_other() {
    let found = occurrences(&["dialect/"], |file, line| {
        let own = DIALECTS.iter().find(|name| file.inside().starts_with(&format!("dialect/{name}/")))?;
        let others = DIALECTS.iter().filter(|name| *name != own);
        let found = others.clone().find(|other| mentions(line, &[&format!("dialect::{other}")]).is_some());
        found.map(|other| format!("{own} knows {other}"))
    });
    assert_none("dialects never import each other", &found);
}

#[test]
fn dialects_know_neither_engine_nor_gateway_nor_what_stands_beside_them() {
    let forbidden = ["crate::gateway", "crate::cli", "crate::config", "crate::admin", "crate::compare", "log::embedded"];
    let found = occurrences(&["dialect/"], |_, line| mentions(line, &forbidden).map(str::to_owned));
    assert_none("dialects talk to delivery and the log facade", &found);
}

#[test]
fn log_and_delivery_know_no_dialect() {
    let above = [
        "crate::dialect",
        "crate::gateway",
        "crate::cli",
        "crate::config",
        "crate::admin",
        "crate::compare",
        "crate::net",
        "crate::security",
    ];
    let found = occurrences(&["log/", "delivery/"], |_, line| mentions(line, &above).map(str::to_owned));
    assert_none("log and delivery know nothing above them", &found);
    let found = occurrences(&["log/"], |_, line| mentions(line, &["crate::delivery"]).map(str::to_owned));
    assert_none("the log knows nothing of delivery", &found);
}

/// Words of one protocol, which the core has its own words for.
const PROTOCOL_WORDS: &[&str] = &[
    "amqp",
    "binding",
    "bindings",
    "channel",
    "channels",
    "consumer",
    "consumers",
    "exchange",
    "exchanges",
    "generation",
    "kafka",
    "list",
    "lists",
    "redis",
    "routing",
    "vhost",
    "stream",
    "streams",
    "pubsub",
    "message",
    "messages",
];
/// Identifiers of the standard library and of tokio, of a compression library, words of the log's own format, and a verb.
const NOT_A_PROTOCOLS: &[&str] = &["channel", "sync_channel", "max_message_bytes", "list", "stream"];

#[test]
fn the_core_has_no_word_of_a_protocol() {
    let mut found = Vec::new();
    for file in sources("src").iter().filter(|file| file.inside().starts_with("log/") || file.inside().starts_with("delivery/")) {
        for (number, identifier) in file.identifiers().filter(|(_, identifier)| !NOT_A_PROTOCOLS.contains(identifier)) {
            if words(identifier).iter().any(|word| PROTOCOL_WORDS.contains(&word.as_str())) {
                found.push(format!("{}:{number}: {identifier}", file.path));
            }
        }
    }
    assert_none("log and delivery use no protocol's word", &found);
}

#[test]
fn only_the_embedded_log_touches_files() {
    let files = ["std::fs", "tokio::fs", "rustix::fs", "fs::File"];
    let found = occurrences(&["dialect/", "delivery/", "net/", "security/", "admin/", "telemetry/"], |_, line| {
        mentions(line, &files).map(str::to_owned)
    });
    assert_none("only log/embedded touches files", &found);
    let found = occurrences(&["log/"], |file, line| {
        let engine = file.inside().starts_with("log/embedded/");
        mentions(line, &files).filter(|_| !engine).map(str::to_owned)
    });
    assert_none("in the log, only log/embedded touches files", &found);
    let found = occurrences(&["log/embedded/"], |file, line| {
        let seam = file.inside().starts_with("log/embedded/disk/");
        mentions(line, &files).filter(|_| !seam).map(str::to_owned)
    });
    assert_none("in the engine, only the disk it is handed touches files", &found);
}

#[test]
fn outside_clients_share_nothing_with_the_gateway() {
    let found = occurrences(&["compare/", "bridge/"], |_, line| {
        let inside = mentions(line, &["crate::compare", "crate::bridge"]).is_some();
        let shares = line.contains("crate::") && !inside;
        shares.then(|| line.trim().to_owned())
    });
    assert_none("a fault of ours must not hide in both ends", &found);
}

#[test]
fn clients_of_the_field_are_used_by_outside_clients_only() {
    let clients = ["lapin", "rdkafka", "redis"];
    let inner = ["dialect/", "delivery/", "log/", "net/", "security/", "admin/", "telemetry/", "config/", "gateway"];
    let found = occurrences(&inner, |_, line| {
        let import = line.trim_start();
        let imports = clients.iter().find(|client| import.starts_with(&format!("use {client}::")));
        imports.map(|client| (*client).to_owned())
    });
    assert_none("the gateway contains no client", &found);
}

#[test]
fn there_is_no_global_state() {
    let found = occurrences(&[""], |_, line| {
        let line = line.trim_start();
        let is_static = line.starts_with("static ") || line.starts_with("pub static ") || line.contains("thread_local!");
        let state = ["static mut", "Mutex", "RwLock", "OnceLock", "OnceCell", "LazyLock", "Atomic", "thread_local!"];
        (is_static && state.iter().any(|word| line.contains(word))).then(|| line.to_owned())
    });
    assert_none("no global state; handles are passed in", &found);
}

#[test]
fn wire_codecs_do_no_io_and_know_no_core() {
    let forbidden = ["tokio::", "std::net", "crate::delivery", "crate::log", "crate::net"];
    let places: Vec<String> = DIALECTS.iter().map(|name| format!("dialect/{name}/wire/")).collect();
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let found = occurrences(&places, |_, line| forbidden.iter().find(|path| line.contains(*path)).map(|path| (*path).to_owned()));
    assert_none("codecs turn bytes into frames and nothing else", &found);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut found = Vec::new();
    for file in sources("src").iter().chain(&sources("tests")) {
        let generated = file.is_generated();
        let header = file.text.lines().take_while(|line| line.starts_with("//!")).count();
        let says_something = file.text.lines().next().is_some_and(|line| line.len() > "//! ".len() + 10);
        if !generated && (!says_something || header > HEADER_LINES_MAX) {
            found.push(format!("{}: {header} lines of `//!`", file.path));
        }
    }
    assert_none("a file begins with a few lines of `//!` that say what it is for", &found);
}

#[test]
fn files_are_short() {
    let all = sources("src");
    let long = all.iter().filter(|file| !file.is_generated());
    let found: Vec<String> = long
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path))
        .collect();
    assert_none("no file is longer than 600 lines", &found);
}

#[test]
fn functions_are_short() {
    let all = sources("src");
    let functions: Vec<(String, usize)> = all
        .iter()
        .filter(|file| !file.is_generated())
        .flat_map(|file| file.functions().into_iter().map(|(name, lines)| (format!("{}: {name}", file.path), lines)))
        .collect();
    let describe = |(name, lines): &(String, usize)| format!("{name}: {lines} lines");
    let huge: Vec<String> = functions.iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX).map(describe).collect();
    assert_none("no function is longer than 150 lines", &huge);
    let long: Vec<String> = functions.iter().filter(|(_, lines)| *lines > FUNCTION_LINES).map(describe).collect();
    let allowed = functions.len() * LONG_FUNCTIONS_PERCENT_MAX / 100;
    assert!(long.len() <= allowed, "{} of {} functions are long:\n  {}", long.len(), functions.len(), long.join("\n  "));
}

#[test]
fn the_library_neither_gives_up_nor_prints() {
    let anywhere = [".unwrap()", ".expect(", "todo!(", "unimplemented!(", "panic!(", "dbg!("];
    let printing = ["println!(", "eprintln!(", "print!(", "eprint!("];
    let found = occurrences(&[""], |file, line| {
        let may_print = ["cli/", "compare/"].iter().any(|place| file.inside().starts_with(place));
        let word = anywhere.iter().chain(printing.iter().filter(|_| !may_print)).find(|word| line.contains(**word));
        word.map(|word| (*word).to_owned())
    });
    assert_none("faults are errors, not panics, and logs are not prints", &found);
}

#[test]
fn names_say_something() {
    let empty = ["util", "utils", "common", "manager", "helper", "helpers", "misc"];
    let named = |file: &Source| {
        let parts = file.path.trim_end_matches(".rs").split('/');
        parts.filter(|part| words(part).iter().any(|word| empty.contains(&word.as_str()))).count() > 0
    };
    let found: Vec<String> = sources("src").iter().filter(|file| named(file)).map(|file| file.path.clone()).collect();
    assert_none("no file is called after nothing", &found);
}

#[test]
fn dialects_have_the_same_files() {
    let all = sources("src");
    let has = |path: &str| {
        all.iter().any(|file| {
            file.inside() == path || file.inside() == format!("{path}.rs") || file.inside() == format!("{path}/mod.rs")
        })
    };
    let mut found = Vec::new();
    for dialect in DIALECTS.iter().filter(|name| has(&format!("dialect/{name}/connection"))) {
        for part in ["mod", "wire", "mapping", "support"] {
            if !has(&format!("dialect/{dialect}/{part}")) {
                found.push(format!("dialect/{dialect} has no {part}"));
            }
        }
    }
    assert_none("the same file names in each dialect", &found);
}
