//! What disks keep: U1 what is acknowledged stays, U4 a purge keeps enough, U5 no promise without a log.
//!
//! When: as a write is acknowledged and as any server has less durable than before (U1), as a file is removed (U4), at each
//! promise after the log could not be written (U5). O(voters) and O(files).

use quorate_core::event::{Dir, Event, FileName, Health, Role};
use quorate_core::ids::{Millis, Zxid};
use quorate_core::wire::snapshot::{FileDecoder, NullSink};

use super::ghost::{Ghost, ROOT, Server};
use super::{Checked, broken, broken_by};
use crate::disk::SimDisk;
use crate::report::{Earlier, Kind};

/// A client was told that the write with this zxid is done.
pub(super) fn acknowledged(g: &mut Ghost, zxid: Zxid) -> Checked {
    let Some(at) = g.find(zxid, g.tip) else { return Ok(()) };
    if g.entry(at).depth > g.entry(g.told).depth {
        g.told = at;
        g.sound = g.servers.iter().any(|s| s.voter && !s.excused && g.contains(s.durable, at));
    }
    kept(g, || format!("a client is told that {zxid} is done"))
}

/// Whatever minority of disks is destroyed next, a voter is left that has every acknowledged write: a quorum has it durable, but
/// for the disks that faults have spoiled. Durable logs are prefixes of each other as far as they are decided: the newest is enough.
pub(super) fn kept(g: &Ghost, what: impl Fn() -> String) -> Checked {
    if g.told == ROOT {
        return Ok(());
    }
    if g.is_safe(g.told) {
        return Ok(());
    }
    let copies = g.entry(g.told).copies;
    // What was replaced by an older snapshot is not counted on before the rest has come again.
    let has = |s: &Server| g.contains(s.durable, g.told);
    let spent = |s: &Server| s.excused || s.health == Health::Doubtful || s.resync.is_some();
    // What was written while others were away may stand on spoiled disks only, behind what cannot be read. Then a quorum says that
    // it is damaged, and nobody leads before they are repaired.
    let told = || g.decides(|s| !has(s) && s.excused && s.health == Health::Damaged);
    if g.decides(|s| has(s) || spent(s)) && (copies > 0 || (!g.sound && told())) {
        return Ok(());
    }
    let known = format!("{} of {} voters have {} durable, which was acknowledged", copies, g.voters, g.zxid(g.told));
    broken_by("U1", what(), known, Earlier::about(Kind::Decided, g.zxid(g.told).0))
}

/// A snapshot or a log file was removed: what is left must load, a valid snapshot and all log behind it.
pub(super) fn unlinked(g: &Ghost, n: usize, name: &FileName, disk: &SimDisk) -> Checked {
    let s = &g.servers[n];
    if !(name.name.starts_with("snapshot.") || name.name.starts_with("log.")) {
        return Ok(());
    }
    // What a leader has ordered to go, and what recovery could not use, goes for other reasons.
    let ordered = s.resync.is_some() || s.snapshot;
    if s.role == Role::Recovering || s.health != Health::Intact || ordered || s.spoiled {
        return Ok(());
    }
    let numbers = |dir, prefix: &'static str| {
        disk.names(dir).filter_map(move |n| i64::from_str_radix(n.strip_prefix(prefix)?, 16).ok()).map(Zxid)
    };
    let first = numbers(Dir::Log, "log.").min();
    // What stands before the first record of the oldest file.
    let before = first.map(|first| g.find(first, ROOT).map_or(Zxid(first.0 - 1), |at| g.zxid(g.entry(at).parent)));
    let leads_on = |z: &Zxid| *z >= g.zxid(s.durable) || before.is_some_and(|before| before <= *z);
    let is_valid = |z: &Zxid| !s.excused || decodes(disk, *z);
    if numbers(Dir::Data, "snapshot.").any(|z| leads_on(&z) && is_valid(&z)) {
        return Ok(());
    }
    let left: Vec<String> = numbers(Dir::Data, "snapshot.").map(|z| z.to_string()).collect();
    let log = first.map_or_else(|| "no log is left".to_owned(), |first| format!("the log begins at {first}"));
    let known = format!("{log}; snapshots are left at [{}], none of them valid and at or above that", left.join(" "));
    broken("U4", format!("it removes {}", name.name), known)
}

fn decodes(disk: &SimDisk, zxid: Zxid) -> bool {
    let name = FileName::new(Dir::Data, &format!("snapshot.{:x}", zxid.0));
    let mut decoder = FileDecoder::new();
    disk.bytes(&name).is_some_and(|file| decoder.feed(file, &mut NullSink).is_ok() && decoder.finish().is_ok())
}

/// A server whose log cannot be written promises nothing any more, and leads no longer than `bound` ms.
pub(super) fn after_failure(g: &Ghost, n: usize, event: &Event, now: Millis, bound: Millis) -> Checked {
    let s = &g.servers[n];
    let Some(since) = s.log_failed else { return Ok(()) };
    let promise = matches!(
        event,
        Event::Acked(_)
            | Event::Durable(_)
            | Event::Decided(_)
            | Event::NewLeaderAcked { .. }
            | Event::EpochAcked(_)
            | Event::Established { .. }
    );
    if promise || (s.leads.is_some() && now > since + bound) {
        let known = format!("its log could not be written {} ms ago", now - since);
        return broken("U5", format!("{event:?} of a server that is {}", s.role.name()), known);
    }
    Ok(())
}
