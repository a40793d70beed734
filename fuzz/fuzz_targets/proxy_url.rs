//! See `larder::fuzzing::proxy_url`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder::fuzzing::proxy_url(data));
