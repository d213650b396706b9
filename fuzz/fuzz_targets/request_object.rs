#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    auth_server::untrusted::request_object(data);
});
