//! SIGTERM and Ctrl-C.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

/// Exit code of an impatient operator's second signal.
const SECOND_SIGNAL: i32 = 130;

/// Calls `stop` at the first signal; the second one ends the process at once.
pub fn on_stop(mut stop: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
            if count == 0 {
                info!("{name}: shutting down");
                stop();
            } else {
                warn!("{name} again: ending now");
                std::process::exit(SECOND_SIGNAL);
            }
        }
    })?;
    Ok(())
}
