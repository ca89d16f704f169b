//! What the loop itself has to do later.

use std::collections::BTreeSet;

use quorate_core::event::Port;
use quorate_core::ids::{LinkId, Millis};

/// Whom a timer is for. A timer of something that is gone finds nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    /// A connection being made, or one that lingers.
    Link(LinkId),
    /// Try again to open a port.
    Bind(PortKey),
    /// Accept again.
    Accept(PortKey),
}

/// A port as an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct PortKey(pub(crate) usize);

impl PortKey {
    /// How many there are.
    pub(crate) const COUNT: usize = 3;

    pub(crate) const fn of(port: Port) -> Self {
        Self(match port {
            Port::Client => 0,
            Port::Election => 1,
            Port::Quorum => 2,
        })
    }
    pub(crate) const fn port(self) -> Port {
        match self.0 {
            0 => Port::Client,
            1 => Port::Election,
            _ => Port::Quorum,
        }
    }
}

/// Timers by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Millis, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Millis, timer: Timer) {
        self.due.insert((at, timer));
    }
    pub(crate) fn next(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }
    pub(crate) fn pop(&mut self, now: Millis) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, timer)| timer)
    }
}
