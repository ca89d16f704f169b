//! One thing that happened, as reports have it.

use quorate_core::ids::{Epoch, Zxid};

use crate::queue::Micros;

/// Where it happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// A server, from 0.
    Server(u32),
    /// A client, from 0.
    Client(u32),
    /// Everywhere or nowhere.
    World,
}

/// What kind of thing. The order is that of [`Kind::NAMES`], which pictures carry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    Started,
    /// numbers: what was not synced, what of it survives.
    Survived,
    Stopped,
    /// numbers: last logged zxid, applied zxid, accepted epoch, current epoch.
    Recovered,
    /// numbers: role, epoch.
    Role,
    /// numbers: epoch, zxid.
    ElectionStarted,
    Elected,
    /// numbers: epoch.
    EpochAccepted,
    EpochCurrent,
    EpochAcked,
    SyncChosen,
    /// numbers: epoch, zxid.
    NewLeaderAcked,
    Established,
    UpToDate,
    /// numbers: zxid; so are the following ones.
    Proposed,
    Logged,
    Durable,
    Acked,
    Decided,
    Applied,
    Replaced,
    Truncated,
    Snapshot,
    Expired,
    Mismatch,
    Closed,
    Note,
    /// numbers: how long it took in µs, what (0 append, 1 fsync, 2 other, 3 read), 1 when it failed, 2 when it did not come to an end.
    Disk,
    /// numbers: fault.
    Fault,
    FaultEnds,
    Healed,
    Outside,
    /// numbers: server, timeout in ms.
    Attached,
    Detached,
    Refused,
    /// numbers: xid, server.
    Asked,
    /// numbers: xid, zxid, error code, when it was asked in µs.
    Replied,
    /// numbers: zxid.
    Ponged,
    Watch,
    /// numbers: message, receiver's lane, class, flags (1 repeated, 2 damaged).
    Sent,
    /// numbers: message, how long it took in µs, newest zxid that it says is committed, sender's lane.
    Received,
    /// numbers: message, receiver's lane.
    Lost,
    Violation,
    End,
}

impl Kind {
    /// The names, in order.
    pub const NAMES: [&'static str; Self::End as usize + 1] = [
        "started",
        "survived",
        "stopped",
        "recovered",
        "role",
        "election",
        "elected",
        "acc",
        "cur",
        "ackepoch",
        "sync",
        "acknewleader",
        "established",
        "uptodate",
        "proposed",
        "logged",
        "durable",
        "acked",
        "decided",
        "applied",
        "replaced",
        "truncated",
        "snapshot",
        "expired",
        "mismatch",
        "closed",
        "note",
        "disk",
        "fault",
        "faultends",
        "healed",
        "outside",
        "attached",
        "detached",
        "refused",
        "asked",
        "replied",
        "ponged",
        "watch",
        "sent",
        "received",
        "lost",
        "violation",
        "end",
    ];

    /// Bytes on their way.
    #[must_use]
    pub const fn is_message(self) -> bool {
        matches!(self, Self::Sent | Self::Received | Self::Lost | Self::Ponged)
    }

    /// How much a reader misses it: 0 first to go, 2 last.
    #[must_use]
    pub(super) const fn weight(self) -> u8 {
        match self {
            Self::Sent
            | Self::Received
            | Self::Lost
            | Self::Ponged
            | Self::Disk
            | Self::Acked
            | Self::Logged
            | Self::Durable
            | Self::Applied
            | Self::Closed => 0,
            Self::Asked | Self::Replied | Self::Watch | Self::Proposed | Self::Decided | Self::Snapshot => 1,
            _ => 2,
        }
    }
}

/// What a message is part of; the order is the picture's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum Class {
    Election,
    Sync,
    Broadcast,
    Client,
    Ping,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// Virtual time.
    pub at: Micros,
    /// Where.
    pub who: Who,
    /// What kind.
    pub kind: Kind,
    /// As [`Kind`] says.
    pub numbers: [i64; 4],
    /// In words.
    pub text: String,
}

/// The fact that a violation contradicts: the newest one like this before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Earlier {
    /// Of this kind.
    pub kind: Kind,
    /// Of this server.
    pub node: Option<usize>,
    /// With this first number (a zxid or an epoch).
    pub number: Option<i64>,
}

impl Earlier {
    /// The newest one of a server.
    #[must_use]
    pub const fn of(kind: Kind, node: usize) -> Self {
        Self { kind, node: Some(node), number: None }
    }
    /// The one about this zxid or epoch, wherever it was.
    #[must_use]
    pub const fn about(kind: Kind, number: i64) -> Self {
        Self { kind, node: None, number: Some(number) }
    }
    /// That of this server.
    #[must_use]
    pub const fn at(mut self, node: usize) -> Self {
        self.node = Some(node);
        self
    }
}

/// `epoch.counter`, decimal, as scenario files write zxids.
#[must_use]
pub fn zxid_text(zxid: Zxid) -> String {
    match zxid {
        z if z.0 < 0 => "-".into(),
        z => format!("{}.{}", z.epoch(), z.counter()),
    }
}

/// The epoch that a zxid without a counter stands for.
pub(super) fn epoch_text(epoch: Epoch) -> String {
    format!("epoch {epoch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_the_numbers_of_their_kinds() {
        for (kind, name) in [
            (Kind::Started, "started"),
            (Kind::EpochAccepted, "acc"),
            (Kind::Proposed, "proposed"),
            (Kind::Disk, "disk"),
            (Kind::Attached, "attached"),
            (Kind::Sent, "sent"),
            (Kind::End, "end"),
        ] {
            assert_eq!(Kind::NAMES[kind as usize], name);
        }
        assert_eq!(zxid_text(Zxid::new(3, 17)), "3.17");
    }
}
