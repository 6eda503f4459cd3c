//! `looma_tests::fuzz::Target::Packets`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| looma_tests::fuzz::Target::Packets.check(input));
