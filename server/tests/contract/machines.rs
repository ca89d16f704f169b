//! Scripted machines: what each is told, and what it does about it.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

use quorate_core::error::DiskError;
use quorate_core::event::{Action, DiskReply, Input, LinkEvent, Outbox, Port};
use quorate_core::ids::{LinkId, Millis, Now, Ticket};

/// Where the machines are reached, and where nobody is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Addresses {
    /// The quorum port of the machine that started first.
    pub(crate) quorum: String,
    /// And its election port.
    pub(crate) election: String,
    /// Nobody listens there, there is no such host, that is no address.
    pub(crate) nowhere: Vec<String>,
}

/// What a machine was told, or did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    // Told.
    Started(Addresses),
    Opened(LinkId, Port, SocketAddr),
    Bytes(LinkId, Vec<u8>),
    Closed(LinkId),
    Drained(LinkId, usize),
    Disk(Ticket, Result<DiskReply, DiskError>),
    Tick,
    // Did.
    Connect(LinkId),
    Send(LinkId, Vec<u8>),
    Close(LinkId),
    Pause(LinkId),
    Resume(LinkId),
    Halt,
}

impl Fact {
    /// The link that it is about.
    pub(crate) fn link(&self) -> Option<LinkId> {
        match self {
            Self::Opened(link, ..)
            | Self::Bytes(link, _)
            | Self::Closed(link)
            | Self::Drained(link, _)
            | Self::Connect(link)
            | Self::Send(link, _)
            | Self::Close(link)
            | Self::Pause(link)
            | Self::Resume(link) => Some(*link),
            Self::Started(_) | Self::Disk(..) | Self::Tick | Self::Halt => None,
        }
    }
}

/// Says what to do about each thing that it is told. A case ends when every machine has halted.
pub(crate) type Rule = Box<dyn FnMut(&Fact, &mut Outbox) + Send>;

/// A machine that follows a rule and reports all facts.
pub(crate) struct Scripted {
    rule: Rule,
    addresses: Addresses,
    facts: Sender<Fact>,
}

impl Scripted {
    pub(crate) fn new(rule: Rule, addresses: Addresses) -> (Self, Receiver<Fact>) {
        let (facts, all) = channel();
        (Self { rule, addresses, facts }, all)
    }

    fn tell(&mut self, fact: Fact, out: &mut Outbox) {
        (self.rule)(&fact, out);
        let did = out.actions().iter().filter_map(|action| match action {
            Action::Connect { link, .. } => Some(Fact::Connect(*link)),
            Action::Send { link, payload } => Some(Fact::Send(*link, out.bytes_of(payload).to_vec())),
            Action::Close { link, .. } => Some(Fact::Close(*link)),
            Action::Pause(link) => Some(Fact::Pause(*link)),
            Action::Resume(link) => Some(Fact::Resume(*link)),
            Action::Halt(_) => Some(Fact::Halt),
            _ => None,
        });
        for fact in [fact].into_iter().chain(did) {
            self.facts.send(fact).unwrap();
        }
    }

    fn begin(&mut self, out: &mut Outbox) {
        self.tell(Fact::Started(self.addresses.clone()), out);
    }

    fn input(&mut self, input: Input<'_>, out: &mut Outbox) {
        let fact = match input {
            Input::Tick => Fact::Tick,
            Input::Link { link, event: LinkEvent::Opened { port, remote } } => Fact::Opened(link, port, remote),
            Input::Link { link, event: LinkEvent::Bytes(bytes) | LinkEvent::Messages { bytes, .. } } => {
                Fact::Bytes(link, bytes.to_vec())
            }
            Input::Link { link, event: LinkEvent::Closed } => Fact::Closed(link),
            Input::Link { link, event: LinkEvent::Drained(n) } => Fact::Drained(link, n),
            Input::Disk { ticket, result } => Fact::Disk(ticket, result),
            Input::Admin(command) => panic!("nobody asks for {command:?}"),
        };
        self.tell(fact, out);
    }
}

impl quorate_sim::machine::Machine for Scripted {
    fn start(&mut self, _: Now, out: &mut Outbox) {
        self.begin(out);
    }
    fn step(&mut self, _: Now, input: Input<'_>, out: &mut Outbox) {
        self.input(input, out);
    }
    fn next_deadline(&self) -> Option<Millis> {
        None
    }
}

impl quorate_net::Machine for Scripted {
    fn start(&mut self, _: Now, out: &mut Outbox) {
        self.begin(out);
    }
    fn step(&mut self, _: Now, input: Input<'_>, out: &mut Outbox) {
        self.input(input, out);
    }
    fn next_deadline(&self) -> Option<Millis> {
        None
    }
}
