//! Any bytes as a Kafka request, header and body of whatever API they name.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = trunkline::dialect::kafka::wire::decode_any(bytes);
});
