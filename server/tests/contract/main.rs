//! One contract for the simulated and the real world: what `core` relies on, said once and held by both.
//!
//! A case that one side fails is a bug of that side, or a promise that nobody keeps. What only a real machine has (four-letter
//! words, limits of descriptors, packed snapshots) is in `net/tests/contract`; what only a simulated one has (power cuts,
//! damage) in `sim/tests`.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod disk;
mod disks;
mod lanes;
mod links;
mod machines;
mod parties;
mod properties;
mod whims;
mod worlds;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quorate_net::disk::DataDirs;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls a case once with each kind of world, as a test of its own name.
macro_rules! both {
    ($simulated:ty, $real:ty: $($case:ident),+ $(,)?) => {
        mod simulated {
            use super::*;
            $(#[test] fn $case() { super::$case(&mut <$simulated>::default()); })+
        }
        mod real {
            use super::*;
            $(#[test] fn $case() { super::$case(&mut <$real>::default()); })+
        }
    };
}
use both;

/// A folder that goes when its owner goes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("quorate-contract-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
    fn dirs(&self) -> DataDirs {
        let base = self.0.join("data");
        DataDirs { data: base.join("version-2"), log: self.0.join("log/version-2"), side: base.join("quorate"), base }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
