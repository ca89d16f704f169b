//! Messages between servers as they are meant, beside the bytes that say them.
//!
//! An [`crate::event::Outbox`] that was asked to keeps them; a driver that has the Peers at both ends of a link hands them over with
//! the bytes ([`crate::event::LinkEvent::Messages`]), and the receiver need not decode. What has no form here (hellos, identities
//! of a request, snapshots) is bytes alone.

use bytes::Bytes;

use crate::ids::{Epoch, Sid, Zxid};

/// Role of a notification's sender, with its wire code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum VoterState {
    Looking = 0,
    Following = 1,
    Leading = 2,
    Observing = 3,
}

/// A vote: whom, with which history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Vote {
    /// Proposed leader.
    pub leader: Sid,
    /// Its last logged zxid.
    pub zxid: Zxid,
    /// Its current epoch.
    pub epoch: Epoch,
}

impl Vote {
    /// The total order of votes: epoch, zxid, sid.
    #[must_use]
    pub fn key(&self) -> (Epoch, Zxid, Sid) {
        (self.epoch, self.zxid, self.leader)
    }
}

/// Data of a quorum packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// Null.
    None,
    /// What the packet's bytes hold.
    Inside,
    /// The same, shared with whoever else has it.
    Shared(Bytes),
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A quorum packet without identities.
    Packet {
        /// Its type.
        kind: i32,
        /// Meaning by type.
        zxid: Zxid,
        /// Meaning by type.
        data: Data,
    },
    /// A notification; the configuration is in its bytes.
    Notification {
        /// Role of the sender.
        state: VoterState,
        /// Its vote.
        vote: Vote,
        /// Its logical clock.
        round: i64,
    },
}

/// A message and where its bytes are among others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Framed {
    /// Its first byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
    /// What it is.
    pub message: Message,
}

impl Framed {
    /// The same, its bytes `back` bytes further to the front and `on` bytes further to the end.
    #[must_use]
    pub fn moved(&self, back: usize, on: usize) -> Self {
        Self { start: self.start - back + on, end: self.end - back + on, message: self.message.clone() }
    }
}

/// Messages that are known to be in bytes that arrived, in their order; the front goes as the bytes are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a>(&'a [Framed]);

impl<'a> Known<'a> {
    /// These.
    #[must_use]
    pub const fn new(messages: &'a [Framed]) -> Self {
        Self(messages)
    }
    /// The one that begins with this byte, and its length.
    pub fn at(&mut self, start: usize) -> Option<(&'a Message, usize)> {
        while let [first, rest @ ..] = self.0 {
            if first.start > start {
                break;
            }
            self.0 = rest;
            if first.start == start {
                return Some((&first.message, first.end - start));
            }
        }
        None
    }
}
