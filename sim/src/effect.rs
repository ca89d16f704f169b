//! Effects by kind: what faults are aimed at, and what is counted to aim.

use quorate_core::event::{Action, DiskOp, Event, Role};

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
];

impl Effect {
    /// How many kinds there are.
    pub const COUNT: usize = NAMES.len();

    /// The kind with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, n)| *n == name).map(|(e, _)| *e)
    }
    /// Its name in scenario files.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(e, _)| *e == self).map_or("other", |(_, n)| *n)
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
        assert_eq!(Effect::Other as usize + 1, Effect::COUNT);
    }
}
