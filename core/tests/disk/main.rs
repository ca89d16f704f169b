//! The disk on a small model of a disk that forgets what was not synced.

mod behaviour;
mod crash;
mod harness;
mod hostile;
mod matrix;
mod recorded;
mod store;
mod trust;
