//! Effects by kind: what faults are aimed at, and what is counted to aim.

use quorate_core::event::{Action, Dir, DiskOp, Event, Port, Role};

/// A kind of effect of a server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum Effect {
    /// Each of the others too.
    Any,
    Listen,
    Connect,
    Send,
    Close,
    Create,
    Write,
    Extend,
    Truncate,
    Fsync,
    Rename,
    Unlink,
    FsyncDir,
    Read,
    PersistEpoch,
    Snapshot,
    Propose,
    Decide,
    Apply,
    Log,
    Ack,
    AckEpoch,
    AckNewLeader,
    Sync,
    Elected,
    Established,
    UpToDate,
    Leading,
    Following,
    Looking,
    Other,
    /// On an election connection; counts as `send` too.
    SendElection,
    /// On a connection between leader and learner; counts as `send` too.
    SendQuorum,
    /// To a client; counts as `send` too.
    Reply,
    /// A watch event to a client; counts as `send` too.
    Notify,
    /// Bytes for the log; counts as `write` too.
    Append,
    /// The first bytes of a snapshot's file; counts as `write` too.
    SnapshotWrite,
    /// The server is to be woken at another time. Counts as itself only.
    SetTimer,
}

const NAMES: &[(Effect, &str)] = &[
    (Effect::Any, "any"),
    (Effect::Listen, "listen"),
    (Effect::Connect, "connect"),
    (Effect::Send, "send"),
    (Effect::Close, "close"),
    (Effect::Create, "create"),
    (Effect::Write, "write"),
    (Effect::Extend, "extend"),
    (Effect::Truncate, "truncate"),
    (Effect::Fsync, "fsync"),
    (Effect::Rename, "rename"),
    (Effect::Unlink, "unlink"),
    (Effect::FsyncDir, "fsync-dir"),
    (Effect::Read, "read"),
    (Effect::PersistEpoch, "persist-epoch"),
    (Effect::Snapshot, "snapshot"),
    (Effect::Propose, "propose"),
    (Effect::Decide, "decide"),
    (Effect::Apply, "apply"),
    (Effect::Log, "log"),
    (Effect::Ack, "ack"),
    (Effect::AckEpoch, "ack-epoch"),
    (Effect::AckNewLeader, "ack-newleader"),
    (Effect::Sync, "sync"),
    (Effect::Elected, "elected"),
    (Effect::Established, "established"),
    (Effect::UpToDate, "up-to-date"),
    (Effect::Leading, "leading"),
    (Effect::Following, "following"),
    (Effect::Looking, "looking"),
    (Effect::Other, "other"),
    (Effect::SendElection, "send-election"),
    (Effect::SendQuorum, "send-quorum"),
    (Effect::Reply, "reply"),
    (Effect::Notify, "notify"),
    (Effect::Append, "append"),
    (Effect::SnapshotWrite, "snapshot-write"),
    (Effect::SetTimer, "set-timer"),
];

impl Effect {
    /// How many kinds there are.
    pub const COUNT: usize = NAMES.len();

    /// The kind with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, n)| *n == name).map(|(e, _)| *e)
    }
    /// Every name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }
    /// Its name in scenario files.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(e, _)| *e == self).map_or("other", |(_, n)| *n)
    }

    /// The kind that it counts as too, or itself.
    #[must_use]
    pub const fn wider(self) -> Self {
        match self {
            Self::SendElection | Self::SendQuorum | Self::Reply | Self::Notify => Self::Send,
            Self::Append | Self::SnapshotWrite => Self::Write,
            other => other,
        }
    }

    /// Of bytes that are sent on a connection of this kind.
    pub(crate) fn of_send(port: Port, bytes: &[u8]) -> Self {
        match port {
            Port::Election => Self::SendElection,
            Port::Quorum => Self::SendQuorum,
            // A frame's length, then the xid: -1 marks an event.
            Port::Client if bytes.get(4..8) == Some(&[0xff; 4]) => Self::Notify,
            Port::Client => Self::Reply,
        }
    }

    /// Of an action. Disk operations count when they are carried out, not when they are queued.
    pub(crate) fn of_action(action: &Action) -> Option<Self> {
        Some(match action {
            Action::Listen(_) | Action::Unlisten(_) => Self::Listen,
            Action::Connect { .. } => Self::Connect,
            Action::Send { .. } => Self::Send,
            Action::Close { .. } => Self::Close,
            Action::Disk { .. } | Action::Pause(_) | Action::Resume(_) | Action::FourLetter { .. } => return None,
            Action::Halt(_) => Self::Other,
            Action::Event(event) => match event {
                Event::SnapshotTaken { .. } => Self::Snapshot,
                Event::Proposed { .. } => Self::Propose,
                Event::Decided(_) => Self::Decide,
                Event::Applied { .. } => Self::Apply,
                Event::Logged { .. } => Self::Log,
                Event::Acked(_) => Self::Ack,
                Event::EpochAcked(_) => Self::AckEpoch,
                Event::NewLeaderAcked { .. } => Self::AckNewLeader,
                Event::SyncChosen { .. } => Self::Sync,
                Event::Elected { .. } => Self::Elected,
                Event::Established { .. } => Self::Established,
                Event::UpToDate { .. } => Self::UpToDate,
                Event::RoleChanged { role, .. } => match role {
                    Role::Leading => Self::Leading,
                    Role::Following | Role::Observing => Self::Following,
                    Role::Looking => Self::Looking,
                    _ => return None,
                },
                _ => return None,
            },
        })
    }

    /// Of a disk operation.
    pub(crate) fn of_disk(op: &DiskOp) -> Self {
        match op {
            DiskOp::Create(_) => Self::Create,
            DiskOp::WriteAt(file, ..) if file.dir == Dir::Log => Self::Append,
            DiskOp::WriteAt(file, 0, _) if file.name.ends_with("snapshot.tmp") => Self::SnapshotWrite,
            DiskOp::WriteAt(..) => Self::Write,
            DiskOp::Extend(..) => Self::Extend,
            DiskOp::Truncate(..) => Self::Truncate,
            DiskOp::Fsync(_) => Self::Fsync,
            DiskOp::Rename(_, to) if to.name.ends_with("Epoch") => Self::PersistEpoch,
            DiskOp::Rename(..) => Self::Rename,
            DiskOp::Unlink(_) => Self::Unlink,
            DiskOp::FsyncDir(_) => Self::FsyncDir,
            DiskOp::ReadRange(..) | DiskOp::List(_) => Self::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_name_and_stands_at_its_number() {
        for (i, (effect, name)) in NAMES.iter().enumerate() {
            assert_eq!(*effect as usize, i);
            assert_eq!(Effect::by_name(name), Some(*effect));
        }
        assert_eq!(Effect::SetTimer as usize + 1, Effect::COUNT);
    }
}
