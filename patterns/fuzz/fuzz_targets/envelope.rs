//! Runs the check `envelope` on what the fuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| brokerless_patterns_fuzz::envelope(data));
