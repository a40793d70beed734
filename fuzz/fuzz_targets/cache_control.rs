//! See `larder::fuzzing::cache_control`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder::fuzzing::cache_control(data));
