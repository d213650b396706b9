#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    shared::untrusted::distinguished_name(data);
});
