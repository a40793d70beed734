//! See `larder::fuzzing::structured_fields`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder::fuzzing::structured_fields(data));
