//! The deterministic simulator.

pub mod check;
pub mod model;
