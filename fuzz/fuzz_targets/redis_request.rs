//! Any bytes as Redis requests; how they are cut into reads must not matter.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert!(trunkline::dialect::redis::wire::decode_any(bytes));
});
