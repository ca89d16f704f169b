//! Bytes to the client port of a server alone and of a follower: a program of hostile clients (`harness::Program`).
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::harness::{Program, run};

fuzz_target!(|bytes: &[u8]| run(&Program::decode(bytes)));
