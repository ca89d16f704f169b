//! What a run tells its readers: a line of text for each transition, and the facts of a space-time diagram.
//!
//! | file | what |
//! | --- | --- |
//! | `fact` | one thing that happened: who, what kind, numbers, words |
//! | `standing` | where each server stands: role, epochs, zxid marks |
//! | `words` | core's and clients' events in words |
//! | `wire` | bytes on connections as named messages: sent, received, lost |
//! | `picture` | the facts of a run, bounded, as JSON |
//!
//! Nothing of this exists in a run whose [`crate::Options`] do not ask for it, and nothing of it changes a run.

mod fact;
mod picture;
mod standing;
mod wire;
mod words;

use std::collections::VecDeque;
use std::fmt::Arguments;

use quorate_core::error::DiskError;
use quorate_core::event::{DiskOp, Event};

pub use fact::{Class, Earlier, Fact, Kind, Who, zxid_text};
pub use picture::Picture;
pub use standing::{HEADER, Standing};
pub use wire::{Fate, Wire};

use crate::observe::{Obs, Violation};
use crate::queue::Micros;

/// Who is told about a run.
pub struct Reporter<'a> {
    trace: Option<&'a mut dyn FnMut(&str)>,
    /// Lines for messages too.
    messages: bool,
    keep: usize,
    tail: VecDeque<String>,
    picture: Option<&'a mut Picture>,
    servers: Vec<Standing>,
}

impl<'a> Reporter<'a> {
    /// `None`: nobody wants to know. `keep`: so many last lines of the trace are for [`Self::take_tail`].
    #[must_use]
    pub fn new(
        trace: Option<&'a mut dyn FnMut(&str)>,
        messages: bool,
        keep: usize,
        picture: Option<&'a mut Picture>,
        servers: usize,
    ) -> Option<Self> {
        let wanted = trace.is_some() || keep > 0 || picture.is_some();
        let servers = vec![Standing::default(); if wanted { servers } else { 0 }];
        wanted.then_some(Self { trace, messages, keep, tail: VecDeque::new(), picture, servers })
    }

    /// Whether messages are of interest.
    #[must_use]
    pub const fn wants_messages(&self) -> bool {
        self.picture.is_some() || self.messages
    }

    /// Something happened.
    pub fn fact(&mut self, fact: &Fact) {
        if let Who::Server(n) = fact.who
            && let Some(standing) = self.servers.get_mut(n as usize)
        {
            standing.take(fact);
        }
        if let Some(picture) = &mut self.picture {
            picture.add(fact);
        }
        if (self.trace.is_none() && self.keep == 0) || (fact.kind.is_message() && !self.messages) {
            return;
        }
        let standing = match fact.who {
            Who::Server(n) => self.servers.get(n as usize),
            _ => None,
        };
        let what = words::message(fact, self.servers.len());
        let line = standing::line(fact, standing, &what);
        if let Some(trace) = &mut self.trace {
            trace(&line);
        }
        if self.keep > 0 {
            if self.tail.len() == self.keep {
                self.tail.pop_front();
            }
            self.tail.push_back(line);
        }
    }

    /// The same, told in place.
    pub fn note(&mut self, at: Micros, who: Who, kind: Kind, numbers: [i64; 4], what: Arguments<'_>) {
        self.fact(&Fact { at, who, kind, numbers, text: what.to_string() });
    }

    /// A server reports something.
    pub fn event(&mut self, at: Micros, node: usize, event: &Event) {
        if let Some(fact) = words::event(at, node, event) {
            self.fact(&fact);
        }
    }

    /// What the checks are told.
    pub(crate) fn observe(&mut self, at: Micros, what: &Obs<'_>) {
        match what {
            Obs::Server { node, event } => self.event(at, *node, event),
            Obs::Fault(fault) => {
                if let Some(picture) = &mut self.picture {
                    picture.struck(at, fault);
                }
                self.fact(&words::fault(at, fault));
            }
            what => {
                if let Some(fact) = words::observation(at, what) {
                    self.fact(&fact);
                }
            }
        }
    }

    /// A disk operation that began at `began` is over.
    pub fn disk(&mut self, at: Micros, began: Micros, node: usize, op: &DiskOp, error: Option<&DiskError>) {
        self.fact(&words::disk(at, began, node, op, error));
    }

    /// A disk operation that began at `began` will not come to an end.
    pub(crate) fn disk_cut(&mut self, at: Micros, began: Micros, node: usize, op: &DiskOp) {
        let mut fact = words::disk(at, began, node, op, None);
        fact.numbers[2] = 2;
        fact.text += ", not done";
        self.fact(&fact);
    }

    /// A fault that held is over.
    pub(crate) fn fault_ended(&mut self, at: Micros, id: u32) {
        if let Some(picture) = &mut self.picture {
            picture.ended(at, id);
        }
        let text = format!("fault {id} ends");
        self.fact(&Fact { at, who: Who::World, kind: Kind::FaultEnds, numbers: [i64::from(id), 0, 0, 0], text });
    }

    /// These faults changed something.
    pub(crate) fn took(&mut self, ids: impl Iterator<Item = u32>) {
        if let Some(picture) = &mut self.picture {
            picture.took(ids);
        }
    }

    /// A promise is broken by what was told last.
    pub fn violation(&mut self, at: Micros, violation: &Violation) {
        let text = format!("{}: {}", violation.invariant, violation.text);
        let who = violation.node.map_or(Who::World, |n| Who::Server(n as u32));
        if let Some(picture) = &mut self.picture {
            picture.violated(at, violation);
        }
        self.fact(&Fact { at, who, kind: Kind::Violation, numbers: [0; 4], text });
    }

    /// The last lines of the trace.
    pub fn take_tail(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tail).into()
    }
}
