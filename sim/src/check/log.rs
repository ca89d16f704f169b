//! Logs: Z4 integrity, Z10 truncation, Z13 ACK after durable, Z14 no gaps, Z15 process consistency, Z17 counters, Z18 illegal
//! messages, and U1, U2, U3 at recovery.
//!
//! When: at each proposal, append, fsync, ACK, cut, ACK(NEWLEADER) and recovery. O(1) but for walks over what was never decided.

use std::collections::BTreeSet;

use bytes::Bytes;
use quorate_core::event::{Health, Role};
use quorate_core::ids::{Epoch, Sid, Zxid};

use super::ghost::{At, Ghost};
use super::{Checked, broken, broken_by};
use crate::report::{Earlier, Kind};
use crate::spec::FaultKind;

/// What servers may rightly find wrong with each other, and the fault without which they may not; the first two are races of
/// elections.
const LEGAL: &[(&str, Option<&[FaultKind]>)] = &[
    ("learner has a newer history than the leader", None),
    ("leader offers an epoch older than the one promised", None),
    ("notification frame of impossible length", Some(&[FaultKind::Corrupt, FaultKind::Garbage])),
    ("another server uses the id of this one: check its myid", Some(&[FaultKind::Clone, FaultKind::AddressChange])),
];

/// A connection to another server is closed for what that has said. `struck`: faults of these kinds were met in this run.
pub(super) fn illegal(sid: Sid, what: &str, struck: &BTreeSet<FaultKind>) -> Checked {
    let met = |kinds: &[FaultKind]| kinds.iter().any(|kind| struck.contains(kind));
    if LEGAL.iter().any(|(text, faults)| *text == what && faults.is_none_or(met)) {
        return Ok(());
    }
    broken("Z18", format!("it closes its connection to server {sid}: {what}"), "that one runs the same protocol".into())
}

/// A leader proposes.
pub(super) fn proposed(g: &mut Ghost, n: usize, zxid: Zxid, hash: u64, record: &Bytes) -> Checked {
    let what = || format!("it proposes {zxid}");
    match g.leaders.get(&zxid.epoch()) {
        Some(leader) if *leader == n => {}
        Some(other) => {
            let second = format!("server {} leads that epoch", g.servers[*other].sid);
            let earlier = Earlier::about(Kind::Established, zxid.epoch()).at(*other);
            return broken_by("Z1", what(), second, earlier);
        }
        None => return broken("Z1", what(), "nobody is established as leader of that epoch".into()),
    }
    let (parent, applied) = (g.servers[n].logged, g.servers[n].applied);
    if let Some(twin) = g.find(zxid, parent) {
        let second = format!("{zxid} was proposed before, with hash {:#x}", g.entry(twin).hash);
        let earlier = Earlier::about(Kind::Proposed, zxid.0);
        return broken_by("Z4", format!("it proposes {zxid} with hash {hash:#x}"), second, earlier);
    }
    let before = g.zxid(parent);
    let first_of_epoch = zxid.epoch() > before.epoch() && zxid.counter() == 1;
    if zxid != before.next() && !first_of_epoch {
        return broken_by("Z14", what(), format!("its log ends at {before}"), Earlier::of(Kind::Logged, n));
    }
    if zxid.counter() > g.epoch_len {
        return broken("Z17", what(), format!("the counter of an epoch ends at {:#x}", g.epoch_len));
    }
    if first_of_epoch {
        // What later leaders have decided meanwhile is none of its business: nobody acknowledges this one any more.
        let mut old = g.tip;
        while g.zxid(old).epoch() >= zxid.epoch() {
            old = g.entry(old).parent;
        }
        if parent != old || applied != old {
            let second = format!("decided before: {}, in its log {before}, delivered {}", g.zxid(old), g.zxid(applied));
            let earlier = Earlier::about(Kind::Decided, g.zxid(old).0);
            return broken_by("Z8", format!("it proposes {zxid}, the first of its epoch"), second, earlier);
        }
    }
    g.propose(zxid, hash, parent, record.clone());
    Ok(())
}

/// A transaction is handed to the log.
pub(super) fn logged(g: &mut Ghost, n: usize, zxid: Zxid, hash: u64) -> Checked {
    let end = g.servers[n].logged;
    let Some(at) = g.find(zxid, end) else {
        return broken("Z4", format!("it logs {zxid}"), "nobody has proposed that".into());
    };
    let e = g.entry(at);
    if e.hash != hash {
        let earlier = Earlier::about(Kind::Proposed, zxid.0);
        let second = format!("proposed with {:#x}", e.hash);
        return broken_by("Z4", format!("it logs {zxid} with hash {hash:#x}"), second, earlier);
    }
    if e.parent != end {
        let second = format!("in its leader's log it follows {}", g.zxid(e.parent));
        let earlier = Earlier::about(Kind::Proposed, zxid.0);
        return broken_by("Z14", format!("it logs {zxid} behind {}", g.zxid(end)), second, earlier);
    }
    let s = &g.servers[n];
    if s.term > 0 && zxid.epoch() > s.current {
        let earlier = Earlier::of(Kind::EpochCurrent, n);
        return broken_by(
            "Z2",
            format!("it logs {zxid}"),
            format!("its durable currentEpoch is {}", s.current),
            earlier,
        );
    }
    g.servers[n].logged = at;
    Ok(())
}

/// The log is fsynced up to here.
pub(super) fn durable(g: &mut Ghost, n: usize, zxid: Zxid) -> Checked {
    let s = &g.servers[n];
    let (end, before) = (s.logged, s.durable);
    let at = g.cut(end, zxid);
    if g.zxid(at) != zxid {
        // A snapshot at the start of everything has no entry of its own.
        let second = format!("its log ends at {} and has no such entry", g.zxid(end));
        return broken_by("Z14", format!("it reports {zxid} durable"), second, Earlier::of(Kind::Logged, n));
    }
    if g.entry(at).depth > g.entry(before).depth || g.servers[n].snapshot {
        g.set_durable(n, at);
    }
    Ok(())
}

/// ACK of a proposal, sent or counted for oneself.
pub(super) fn acked(g: &mut Ghost, n: usize, zxid: Zxid) -> Checked {
    let s = &g.servers[n];
    let durable = g.zxid(s.durable);
    if zxid > durable || g.zxid(g.cut(s.durable, zxid)) != zxid {
        let second = format!("its log is durable up to {durable}");
        return broken_by("Z13", format!("it acknowledges {zxid}"), second, Earlier::of(Kind::Durable, n));
    }
    if s.term == 0 || s.term < s.promised {
        let second = format!("ACKEPOCH({}) was sent, its term is of epoch {}", s.promised, s.term);
        return broken_by("Z3", format!("it acknowledges {zxid}"), second, Earlier::of(Kind::EpochAcked, n));
    }
    Ok(())
}

/// A learner sends ACK(NEWLEADER).
pub(super) fn newleader_acked(g: &mut Ghost, n: usize, epoch: Epoch, last: Zxid) -> Checked {
    let what = || format!("ACK(NEWLEADER {epoch}) is sent");
    if g.servers[n].snapshot {
        let end = g.servers[n].logged;
        g.set_durable(n, end);
        g.servers[n].snapshot = false;
    }
    let s = &g.servers[n];
    let (durable, logged) = (g.zxid(s.durable), g.zxid(s.logged));
    if s.durable != s.logged || logged != last {
        let second = format!("durable log: {durable}, logged: {logged}, reported: {last}");
        return broken_by("Z13", what(), second, Earlier::of(Kind::Durable, n));
    }
    if s.current != epoch {
        let second = format!("durable currentEpoch is {}", s.current);
        return broken_by("Z13", what(), second, Earlier::of(Kind::EpochCurrent, n));
    }
    if logged.epoch() > s.current {
        let second = format!("its log ends at {logged}, its durable currentEpoch is {}", s.current);
        return broken_by("Z2", what(), second, Earlier::of(Kind::Logged, n));
    }
    if epoch < s.promised {
        let second = format!("ACKEPOCH({}) was sent", s.promised);
        return broken_by("Z3", what(), second, Earlier::of(Kind::EpochAcked, n));
    }
    // A leader that has died since may have lost what it had proposed and nobody acknowledged, or all that was spoiled.
    if let Some((leader, _)) = g.opened.get(&epoch)
        && g.servers[*leader].role == Role::Leading
        && g.servers[*leader].current == epoch
        && !g.contains(g.servers[*leader].logged, s.logged)
    {
        let second = format!("its leader {} has a log up to {}", g.servers[*leader].sid, {
            let end = g.servers[*leader].logged;
            g.zxid(end)
        });
        let earlier = Earlier::of(Kind::Logged, *leader);
        return broken_by("Z15", format!("{} with a log up to {logged}", what()), second, earlier);
    }
    let s = &mut g.servers[n];
    s.term = epoch;
    s.newleader = s.newleader.max(epoch);
    s.resync = None;
    // Still excused: spoiled bytes may lie where nothing has read them yet.
    s.health = Health::Intact;
    Ok(())
}

/// Log entries above `to` were removed.
pub(super) fn truncated(g: &mut Ghost, n: usize, to: Zxid) -> Checked {
    let end = g.servers[n].logged;
    let cut = g.cut(end, to);
    if cut != end && g.servers[n].resync.is_none() {
        let second = format!("no leader has asked for a cut; it ended at {}", g.zxid(end));
        return broken_by("Z10", format!("its log is cut at {to}"), second, Earlier::of(Kind::Logged, n));
    }
    removes_nothing_decided(g, n, cut, || format!("its log is cut at {to}"))?;
    g.servers[n].logged = cut;
    g.servers[n].cut |= cut != end;
    let durable = g.servers[n].durable;
    let durable = g.cut(durable, to);
    g.set_durable(n, durable);
    Ok(())
}

fn removes_nothing_decided(g: &Ghost, n: usize, to: At, what: impl Fn() -> String) -> Checked {
    let had = g.decided_part(g.servers[n].logged);
    if g.entry(g.decided_part(to)).depth < g.entry(had).depth {
        let second = format!("{} was decided and is in its log", g.zxid(had));
        return broken_by("Z10", what(), second, Earlier::about(Kind::Decided, g.zxid(had).0));
    }
    Ok(())
}

/// The tree was replaced by a snapshot, from disk or from a leader.
pub(super) fn replaced(g: &mut Ghost, n: usize, zxid: Zxid) -> Result<At, super::Broken> {
    let near = g.servers[n].logged;
    match g.find(zxid, near) {
        Some(at) if g.entry(at).decided || g.may_stand_at(n, at) => Ok(at),
        Some(_) => broken("Z5", format!("its tree is replaced by one at {zxid}"), format!("{zxid} is not decided")),
        None => broken("Z4", format!("its tree is replaced by one at {zxid}"), "nobody has proposed that".into()),
    }
}

/// Recovery found this log.
pub(super) fn recovered(g: &mut Ghost, n: usize, last: Zxid, health: Health) -> Checked {
    let s = &g.servers[n];
    let (durable, resync, excused) = (s.durable, s.resync, s.excused);
    if s.holed && health != Health::Damaged {
        let what = format!("recovery finds a log up to {last} ({health:?})");
        return broken("U2", what, "records are missing in the middle of what it has read".into());
    }
    let Some(at) = g.find(last, durable) else {
        return broken("Z4", format!("recovery finds a log up to {last}"), "nobody has proposed that".into());
    };
    // A damaged record is not the end of the log: a server that has lost something says so.
    let silent = health == Health::Intact && excused && resync.is_none();
    if silent && !g.contains(at, g.decided_part(durable)) {
        let second = format!("{} was decided and durable here", g.zxid(g.decided_part(durable)));
        return broken("U2", format!("recovery finds a log up to {last} ({health:?})"), second);
    }
    // Doubtful after a sync that did not end: the leader takes nothing for complete that only such servers have.
    let doubtful = resync.is_some() && health == Health::Doubtful;
    let trusted = !excused && !doubtful && health != Health::Damaged;
    if trusted && resync.is_none() && !g.contains(at, durable) {
        let second = format!("its log was durable up to {}", g.zxid(durable));
        let earlier = Earlier::of(Kind::Durable, n);
        return broken_by("U1", format!("recovery finds a log up to {last} ({health:?})"), second, earlier);
    }
    if trusted && g.entry(g.decided_part(at)).depth < g.entry(g.decided_part(durable)).depth {
        let second = format!("{} was decided and durable here", g.zxid(g.decided_part(durable)));
        let earlier = Earlier::about(Kind::Decided, g.zxid(g.decided_part(durable)).0);
        return broken_by("U1", format!("recovery finds a log up to {last} ({health:?})"), second, earlier);
    }
    // A snapshot that was being installed took the place of a longer log: not to be trusted until the leader has sent the rest.
    // What failed in the life before is no excuse: a server ends there, and writes again what it vouches for afterwards. What cannot be
    // read in this one is: whoever cannot write does not come here.
    // Who could not be cut stays damaged until a leader has synchronised it.
    let known = g.servers[n].health == Health::Damaged;
    if !excused && !g.servers[n].failing && !known && resync.is_none() && matches!(health, Health::Damaged) {
        return broken("U3", format!("recovery says {health:?} at {last}"), "no fault has damaged this disk".into());
    }
    // The cut that a leader ordered may have happened before anybody could say so.
    let cut = resync.is_some() && !g.contains(at, durable);
    g.servers[n].logged = at;
    g.set_durable(n, at);
    let s = &mut g.servers[n];
    s.cut |= cut;
    s.resync = None;
    s.snapshot = false;
    s.health = health;
    Ok(())
}
