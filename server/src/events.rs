//! The core's events as lines of the log, in the words that operators of ZooKeeper search for (operations section 11).

use quorate_core::error::CloseReason;
use quorate_core::event::{Event, Role, SyncKind};
use quorate_core::ids::{Millis, Sid};
use tracing::{debug, error, info, warn};

use crate::four_letter::peer_state;

/// Lines about connections in one second at most; hostile clients must not fill the disk with log.
const LINES_PER_SECOND: u32 = 50;
const SECOND: Millis = 1000;

/// Writes one server's events.
#[derive(Debug)]
pub struct EventLog {
    sid: Sid,
    fsync_warning_ms: Millis,
    second: Millis,
    lines: u32,
    suppressed: u64,
}

impl EventLog {
    /// For this server.
    #[must_use]
    pub fn new(sid: Sid, fsync_warning_ms: Millis) -> Self {
        Self { sid, fsync_warning_ms, second: 0, lines: 0, suppressed: 0 }
    }

    /// Whether one more line about a connection may be written.
    fn may_write(&mut self, mono_ms: Millis) -> bool {
        let second = mono_ms / SECOND;
        if second != self.second {
            if self.suppressed > 0 {
                warn!("{} more lines about connections were left out", self.suppressed);
            }
            (self.second, self.lines, self.suppressed) = (second, 0, 0);
        }
        self.lines += 1;
        if self.lines > LINES_PER_SECOND {
            self.suppressed += 1;
        }
        self.lines <= LINES_PER_SECOND
    }

    /// Writes an event, if it is worth a line.
    pub fn write(&mut self, mono_ms: Millis, event: &Event) {
        match event {
            Event::Recovered { last_logged, applied, accepted_epoch, current_epoch, health } => info!(
                "recovered: last logged zxid {last_logged}, applied {applied}, acceptedEpoch {accepted_epoch:#x}, currentEpoch \
                 {current_epoch:#x}, {health:?}"
            ),
            Event::RoleChanged { role, epoch } => role_changed(*role, *epoch),
            Event::ElectionStarted { round, zxid, .. } => {
                info!("New election. My id = {}, proposed zxid={zxid}, round {round}", self.sid);
            }
            Event::Elected { leader, took_ms } => {
                let state = if *leader == self.sid { "LEADING" } else { "FOLLOWING" };
                info!("{state} - LEADER ELECTION TOOK - {took_ms} MS, leader {leader}");
            }
            Event::SyncChosen { learner, kind, from, to } => {
                let kind = match kind {
                    SyncKind::Diff => "DIFF",
                    SyncKind::Trunc => "TRUNC",
                    SyncKind::Snap => "SNAP",
                };
                info!("Sending {kind} to learner {learner}: peer last zxid {from}, to {to}");
            }
            Event::Established { epoch, last_logged } => {
                info!("Have quorum of supporters; epoch {epoch:#x}, last zxid {last_logged}");
                info!("Peer state changed: leading - broadcast");
            }
            Event::UpToDate { epoch, applied } => {
                info!("Learner received UPTODATE message: epoch {epoch:#x}, zxid {applied}")
            }
            Event::TreeReplaced { zxid, .. } => info!("Setting the data tree from the leader's snapshot, zxid {zxid}"),
            Event::Truncated(zxid) => warn!("Truncating log to get in sync with the leader {zxid}"),
            Event::SnapshotTaken { zxid, bytes, took_ms } => {
                info!("Snapshotting: {zxid} to snapshot.{:x}: {bytes} bytes, took {took_ms}ms", zxid.0);
            }
            Event::SessionExpired { session, timeout_ms, .. } => {
                info!("Expiring session {session}, timeout of {timeout_ms}ms exceeded");
            }
            Event::DigestMismatch { zxid, ours, theirs } => {
                error!("Digests are not matching. Zxid: {zxid}, ours {ours}, in the record {theirs}");
            }
            Event::FsyncTook(ms) if *ms > self.fsync_warning_ms => warn!(
                "fsync-ing the write ahead log in the log lane took {ms}ms which will adversely effect operation latency. See \
                 the ZooKeeper troubleshooting guide"
            ),
            Event::LinkClosed { link, remote, sid, why } if *why != CloseReason::Done && self.may_write(mono_ms) => {
                let other = match (remote, sid) {
                    (_, Some(sid)) => format!("server {sid}"),
                    (Some(remote), None) => format!("/{remote}"),
                    (None, None) => format!("link {}", link.0),
                };
                match why {
                    CloseReason::Timeout(_) | CloseReason::Replaced => info!("Closing connection with {other}: {why}"),
                    _ => warn!("Closing connection with {other}: {why}"),
                }
            }
            Event::Warning(text) => warn!("{text}"),
            other => debug!("{other:?}"),
        }
    }
}

fn role_changed(role: Role, epoch: i64) {
    match role {
        Role::Looking => info!("LOOKING"),
        Role::Leading => info!("LEADING"),
        Role::Following => info!("FOLLOWING"),
        Role::Observing => info!("OBSERVING"),
        Role::ReadOnly => info!("Read-only server started: no quorum, reads only"),
        Role::Recovering | Role::Standalone => info!("{}", role.name()),
    }
    if let Some(state) = peer_state(role)
        && role != Role::Leading
    {
        info!("Peer state changed: {}, epoch {epoch:#x}", state.replace("broadcast", "synchronization"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_connections_are_limited() {
        let mut log = EventLog::new(Sid(1), 1000);
        let written = (0..200).filter(|_| log.may_write(5)).count();
        assert_eq!(written, 50);
        assert_eq!(log.suppressed, 150);
        assert!(log.may_write(1005));
        assert_eq!(log.suppressed, 0);
    }
}
