//! See `larder::fuzzing::no_vary_search`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder::fuzzing::no_vary_search(data));
