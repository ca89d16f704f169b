//! What the loop drives, and whom it tells.

use std::net::SocketAddr;

use quorate_core::event::{AdminCommand, Event, Halt, Input, Outbox, Port};
use quorate_core::ids::{Millis, Now};
use quorate_core::peer::Peer;

/// A state machine of inputs and actions: a server's `Peer`, or a script in a test.
pub trait Machine {
    /// Begins. Called once, before everything else.
    fn start(&mut self, now: Now, out: &mut Outbox);
    /// Handles one input.
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox);
    /// Everything that was ready has been handed over: what was gathered may go to the disk now.
    fn batch_end(&mut self, now: Now, out: &mut Outbox) {
        let (_, _) = (now, out);
    }
    /// When [`Machine::step`] wants `Input::Tick`, ms of the monotonic clock.
    fn next_deadline(&self) -> Option<Millis>;
}

impl Machine for Peer {
    fn start(&mut self, now: Now, out: &mut Outbox) {
        Self::start(self, now, out);
    }
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        self.gather(now, input, out);
    }
    fn batch_end(&mut self, now: Now, out: &mut Outbox) {
        self.flush(now, out);
    }
    fn next_deadline(&self) -> Option<Millis> {
        Self::next_deadline(self)
    }
}

/// The answer to a four-letter word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FourLetterReply {
    /// Written to the link, which is closed then.
    pub text: String,
    /// What the word does beside that.
    pub command: Option<AdminCommand>,
}

/// The process around the machine: log, counters, texts. Called on the loop's thread; must not block.
pub trait Host<M> {
    /// The machine reports an event.
    fn event(&mut self, now: Now, event: &Event);
    /// Somebody asked a four-letter word; his address, where it can be known still.
    fn four_letter(&mut self, now: Now, machine: &M, asker: Option<SocketAddr>, word: [u8; 4]) -> FourLetterReply;
    /// A port is open now.
    fn listening(&mut self, port: Port, address: SocketAddr) {
        let (_, _) = (port, address);
    }
}

/// Why the loop ended.
#[derive(Debug)]
pub enum Ended {
    /// The machine said so.
    Halt(Halt),
    /// A shutdown was asked for and took too long.
    ShutdownTimeout,
    /// The client port cannot be opened: which, why, and what to do.
    ClientPort(String),
    /// The election port cannot be opened after all tries.
    ElectionPort(String),
    /// The system refused what the loop cannot do without.
    System(String),
}
