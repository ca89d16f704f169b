//! The same bytes to every decoder: both ports of servers, clients, log files, snapshots.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::every::all_decoders;

fuzz_target!(|bytes: &[u8]| all_decoders(bytes));
