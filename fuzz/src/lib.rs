//! What the fuzz targets share with the tests of `core`, included by path.

#[path = "../../core/tests/decoders/every.rs"]
pub mod every;
#[path = "../../core/tests/hostile/harness/mod.rs"]
pub mod harness;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
