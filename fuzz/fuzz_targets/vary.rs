//! See `larder::fuzzing::vary`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder::fuzzing::vary(data));
