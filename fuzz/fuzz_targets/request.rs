//! A profile, an opcode and a body: to the decoder, and as a request to a server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::harness::request;

fuzz_target!(|bytes: &[u8]| request(bytes));
