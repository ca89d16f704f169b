//! Memory that the code under test asks for. Counts only where the binary has `stats_alloc` as its allocator, and for the whole
//! process: such tests run one at a time.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

/// Runs `f`; returns the bytes that were allocated meanwhile, freed or not.
pub fn allocated<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    let result = f();
    (result, region.change().bytes_allocated)
}
