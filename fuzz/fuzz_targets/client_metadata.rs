#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    auth_server::untrusted::client_metadata(data);
});
