//! Any bytes as what a crash left of the journal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = trunkline::log::replay_any(bytes);
});
