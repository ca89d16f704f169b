//! A handle to a running loop, for other threads.

use std::sync::{Arc, Mutex, PoisonError};

use mio::Waker;
use quorate_core::event::AdminCommand;

/// Gives commands to a loop. Cheap to clone; commands to a loop that has ended are lost.
#[derive(Clone, Debug)]
pub struct Remote {
    commands: Arc<Mutex<Vec<AdminCommand>>>,
    waker: Arc<Waker>,
}

impl Remote {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self { commands: Arc::default(), waker }
    }

    /// Hands a command over.
    pub fn send(&self, command: AdminCommand) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        // A loop that cannot be woken has ended, or finds the command at its next deadline.
        let _ = self.waker.wake();
    }

    pub(crate) fn take(&self) -> Vec<AdminCommand> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
