//! The real world around one [`Machine`]: sockets, disks and clocks.
//!
//! [`Driver`] is the loop. One thread owns the machine and moves bytes: it waits until something is ready, hands over all that is
//! ready as inputs, gives what the machine asks of the disk to the two lanes ([`disk`]), writes what is queued, once a link, and
//! waits again. Rules of the protocol are not here: bytes are moved as they come and are cut nowhere.

mod act;
mod clock;
pub mod disk;
mod driver;
mod link;
mod listeners;
mod machine;
mod outqueue;
mod remote;
mod resolver;
mod settings;
mod table;
mod timers;

pub use driver::Driver;
pub use machine::{Ended, FourLetterReply, Host, Machine};
pub use remote::Remote;
pub use settings::{Bind, Limits, Ports, Settings};
