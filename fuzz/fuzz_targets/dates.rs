//! See `larder::fuzzing::dates`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder::fuzzing::dates(data));
