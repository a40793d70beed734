//! See `larder::fuzzing::redis_record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder::fuzzing::redis_record(data));
