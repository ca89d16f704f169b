//! What runs on a simulated machine: a server, or a script of a test.

use quorate_core::event::{Input, Outbox};
use quorate_core::ids::{Millis, Now};
use quorate_core::peer::Peer;

use crate::observe::NoCheck;
use crate::queue::Plan;
use crate::world::World;
use crate::{Options, RunSpec};

/// A state machine of inputs and actions in place of a server, to see what the simulated world owes to one.
pub trait Machine {
    /// Begins. Called once, before everything else.
    fn start(&mut self, now: Now, out: &mut Outbox);
    /// Handles one input.
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox);
    /// When it wants `Input::Tick`, ms of the monotonic clock.
    fn next_deadline(&self) -> Option<Millis>;
}

/// The process on a machine.
pub(crate) enum Process {
    Server(Box<Peer>),
    Script(Box<dyn Machine>),
}

impl Process {
    pub(crate) fn start(&mut self, now: Now, out: &mut Outbox) {
        match self {
            Self::Server(peer) => peer.start(now, out),
            Self::Script(machine) => machine.start(now, out),
        }
    }
    pub(crate) fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        match self {
            Self::Server(peer) => peer.step(now, input, out),
            Self::Script(machine) => machine.step(now, input, out),
        }
    }
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        match self {
            Self::Server(peer) => peer.next_deadline(),
            Self::Script(machine) => machine.next_deadline(),
        }
    }
    pub(crate) const fn server(&self) -> Option<&Peer> {
        match self {
            Self::Server(peer) => Some(peer),
            Self::Script(_) => None,
        }
    }
}

impl core::fmt::Debug for Process {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.server().is_some() { "a server" } else { "a script" })
    }
}

/// Runs these machines in the world of `spec`, without its faults and clients, until nothing is left to happen or its time is
/// over. Machine `i` is reached as `s(i+1):2888` and so on, and starts a second after the one before it.
///
/// # Panics
/// When a machine does.
pub fn run_machines(spec: &RunSpec, machines: Vec<Box<dyn Machine>>) {
    assert_eq!(machines.len(), spec.servers(), "one machine for each server");
    let mut check = NoCheck;
    let mut world = World::new(spec, &mut check, Options::default());
    for (n, machine) in machines.into_iter().enumerate() {
        world.nodes[n].script = Some(machine);
        world.nodes[n].booting = true;
        world.queue.push(n as u64 * 1_000_000, Plan::Boot { node: n as u32, life: 0 });
    }
    let end = world.ticks(spec.timing.max_ticks);
    while let Some((at, plan)) = world.queue.pop().filter(|(at, _)| *at <= end) {
        world.at(at, plan);
    }
}
