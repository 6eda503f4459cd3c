//! `looma_tests::fuzz::Target::Urls`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| looma_tests::fuzz::Target::Urls.check(input));
