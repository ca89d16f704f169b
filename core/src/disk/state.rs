//! The record of this server's promises beside Java's two files: epochs, trust, an unfinished installation.

use alloc::vec::Vec;

use crate::ids::{Epoch, Millis, Zxid};
use crate::jute::{Put as _, Reader};

/// What this server knows about the trust in its own disk, across restarts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Trust {
    /// Nothing was ever noted.
    #[default]
    Unknown,
    /// An empty history is meant to be empty.
    Trusted,
    /// A tail was cut, and no leader has synchronised this server since.
    Doubtful,
    /// Something durable was found damaged, and no leader has synchronised this server since.
    Damaged,
}

/// An installation of a received snapshot that has begun: recovery completes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Install {
    /// The snapshot.
    pub(super) zxid: Zxid,
    /// Log files with names up to this one are void.
    pub(super) logs_to: Zxid,
    /// Snapshots above the installed one, up to this one, are void.
    pub(super) snaps_to: Zxid,
}

/// The record. Java's own files win where they say more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct State {
    pub(super) accepted: Epoch,
    pub(super) current: Epoch,
    pub(super) trust: Trust,
    /// The history begins at zxid 0 here: as long as no snapshot was written, logs without one are complete.
    pub(super) fresh: bool,
    pub(super) install: Option<Install>,
    /// The log from before this zxid is gone, purged or replaced by a snapshot: without a snapshot from here on there is a gap,
    /// which no zxid shows when an epoch begins behind it.
    pub(super) behind: Zxid,
    /// No id of a session that this server has given away says a later ms than this.
    pub(super) ids: Millis,
}

const MAGIC: i32 = 0x5152_5354;
/// 1: without `behind`. 2: without `ids`.
const VERSION: i32 = 3;

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.put_i32(MAGIC);
        out.put_i32(VERSION);
        out.put_i64(self.accepted);
        out.put_i64(self.current);
        out.put_i32(match self.trust {
            Trust::Unknown => 0,
            Trust::Trusted => 1,
            Trust::Doubtful => 2,
            Trust::Damaged => 3,
        });
        out.put_bool(self.fresh);
        out.put_bool(self.install.is_some());
        let install = self.install.unwrap_or(Install { zxid: Zxid::ZERO, logs_to: Zxid::ZERO, snaps_to: Zxid::ZERO });
        out.put_i64(install.zxid.0);
        out.put_i64(install.logs_to.0);
        out.put_i64(install.snaps_to.0);
        out.put_i64(self.behind.0);
        out.put_i64(self.ids);
        let crc = crc32fast::hash(&out);
        out.put_i32(crc as i32);
        out
    }

    /// `None` for anything that is not such a record, whole and unchanged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let body = bytes.len().checked_sub(4)?;
        let mut r = Reader::new(bytes);
        if r.i32().ok()? != MAGIC {
            return None;
        }
        let version = r.i32().ok()?;
        if !(1..=VERSION).contains(&version) {
            return None;
        }
        let (accepted, current) = (r.i64().ok()?, r.i64().ok()?);
        let trust = match r.i32().ok()? {
            0 => Trust::Unknown,
            1 => Trust::Trusted,
            2 => Trust::Doubtful,
            3 => Trust::Damaged,
            _ => return None,
        };
        let fresh = r.bool().ok()?;
        let installing = r.bool().ok()?;
        let install =
            Install { zxid: Zxid(r.i64().ok()?), logs_to: Zxid(r.i64().ok()?), snaps_to: Zxid(r.i64().ok()?) };
        let behind = if version > 1 { Zxid(r.i64().ok()?) } else { Zxid::ZERO };
        let ids = if version > 2 { r.i64().ok()? } else { 0 };
        let whole = r.position() == body && r.i32().ok()? as u32 == crc32fast::hash(&bytes[..body]);
        whole.then_some(Self { accepted, current, trust, fresh, install: installing.then_some(install), behind, ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_no_bit_may_flip() {
        let install = Some(Install { zxid: Zxid(5), logs_to: Zxid(6), snaps_to: Zxid(7) });
        for state in [
            State::default(),
            State {
                accepted: 3,
                current: 2,
                trust: Trust::Damaged,
                fresh: true,
                install,
                behind: Zxid(4),
                ids: 1 << 41,
            },
            State {
                accepted: 9,
                current: 9,
                trust: Trust::Doubtful,
                fresh: false,
                install: None,
                behind: Zxid(0x7_0000_0001),
                ids: 0,
            },
        ] {
            let bytes = state.encode();
            assert_eq!(State::decode(&bytes), Some(state));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(State::decode(&bad), None);
            }
            for len in 0..bytes.len() {
                assert_eq!(State::decode(&bytes[..len]), None);
            }
        }
    }
}
