//! The one lane of a recorded server in a space-time diagram, and three for what stands behind its ports.

use std::collections::BTreeMap;

use quorate_core::event::{Action, DiskOp, Input, LinkEvent, Outbox, Port};
use quorate_core::ids::Ticket;
use quorate_sim::report::{Fate, Kind, Picture, Reporter, Who, Wire};

use super::format::Call;

/// The names of the lanes: the server and everybody else, by port.
pub const LANES: [&str; 4] = ["this server", "elections", "leader, learners", "clients"];

/// A recorded clock counts ms; steps of the same one stand so far apart, µs.
const STEP_US: u64 = 20;

const fn lane_of(port: Port) -> u32 {
    match port {
        Port::Election => 1,
        Port::Quorum => 2,
        Port::Client => 3,
    }
}

/// See the module.
pub struct Lane<'p> {
    reporter: Option<Reporter<'p>>,
    wire: Wire,
    at: u64,
    disk: BTreeMap<Ticket, (u64, DiskOp)>,
}

impl<'p> Lane<'p> {
    /// `None`: nobody looks.
    pub fn new(picture: Option<&'p mut Picture>) -> Self {
        let reporter = Reporter::new(None, false, 0, picture, LANES.len());
        Self { reporter, wire: Wire::new(LANES.len()), at: 0, disk: BTreeMap::new() }
    }

    fn told(&mut self) {
        if let Some(reporter) = &mut self.reporter {
            self.wire.take().iter().for_each(|fact| reporter.fact(fact));
        }
    }

    fn note(&mut self, kind: Kind, text: &str) {
        if let Some(reporter) = &mut self.reporter {
            reporter.note(self.at, Who::Server(0), kind, [0; 4], format_args!("{text}"));
        }
    }

    /// The server is told something, so many ms after its start.
    pub fn call(&mut self, ms: i64, call: &Call<'_>) {
        if self.reporter.is_none() {
            return;
        }
        let ms = ms.unsigned_abs() * 1000;
        // Never back, and never into the next ms but behind 50 steps.
        self.at = if self.at < ms { ms } else { (self.at + STEP_US).min(ms.max(self.at) + 999) };
        self.wire.now = self.at;
        match call {
            Call::Start => self.note(Kind::Started, "starts"),
            Call::Input(Input::Link { link, event }) => {
                let dir = usize::from(!link.is_accepted());
                match event {
                    LinkEvent::Opened { port, .. } if link.is_accepted() => {
                        self.wire.opened(link.0, *port, lane_of(*port), 0);
                    }
                    LinkEvent::Bytes(bytes) | LinkEvent::Messages { bytes, .. } => {
                        self.wire.sent(link.0, dir, bytes, Fate::whole(bytes));
                        self.wire.delivered(link.0, dir, bytes.len());
                    }
                    LinkEvent::Closed => self.wire.released(link.0),
                    LinkEvent::Opened { .. } | LinkEvent::Drained(_) => {}
                }
                self.told();
            }
            Call::Input(Input::Disk { ticket, result }) => {
                if let (Some((began, op)), Some(reporter)) = (self.disk.remove(ticket), &mut self.reporter) {
                    reporter.disk(self.at, began, 0, &op, result.as_ref().err());
                }
            }
            Call::Flush | Call::Input(Input::Tick | Input::Admin(_)) => {}
        }
    }

    /// It answers.
    pub fn action(&mut self, action: &Action, out: &Outbox) {
        let Some(reporter) = &mut self.reporter else { return };
        match action {
            Action::Event(event) => reporter.event(self.at, 0, event),
            Action::Connect { link, port, .. } => self.wire.opened(link.0, *port, 0, lane_of(*port)),
            Action::Send { link, payload } => {
                let (dir, bytes) = (usize::from(link.is_accepted()), out.bytes_of(payload));
                self.wire.sent(link.0, dir, bytes, Fate::whole(bytes));
                self.wire.delivered(link.0, dir, bytes.len());
            }
            Action::Close { link, why } => {
                self.wire.released(link.0);
                let text = format!("closes a connection: {why}");
                self.note(Kind::Closed, &text);
            }
            Action::Disk { ticket, op, .. } => {
                self.disk.insert(*ticket, (self.at, op.clone()));
            }
            Action::Halt(halt) => {
                let text = format!("ends by itself: {halt:?}");
                self.note(Kind::Stopped, &text);
            }
            _ => {}
        }
        self.told();
    }
}
