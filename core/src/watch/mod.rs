//! Watches: who is told what when a znode changes (client-protocol section 7).

mod list;
mod manager;
mod mode;
mod table;
#[cfg(test)]
mod tests;

pub use list::WatchTotals;
pub use manager::WatchManager;
pub use mode::{WatchMode, WatcherType};
