//! Any bytes as AMQP frames, methods, content headers and field tables.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = trunkline::dialect::amqp::wire::decode_any(bytes);
});
