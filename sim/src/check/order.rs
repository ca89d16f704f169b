//! What is decided and delivered, in which order: Z5 agreement, Z6 and Z7 primary order, Z9 leader completeness, Z11 commit rule,
//! Z12 commit order, D1 one digest per zxid.
//!
//! When: as a leader is established, as it decides, and as a server applies. O(1) each; what is decided joins [`Ghost`]'s one path.

use quorate_core::event::Role;
use quorate_core::ids::{Epoch, Zxid};

use super::ghost::{At, Ghost, ROOT};
use super::{Broken, Checked, broken, broken_by};
use crate::report::{Earlier, Kind};

/// A leader has its quorum: its whole initial history is decided. Returns the end of that history.
pub(super) fn established(g: &Ghost, n: usize, epoch: Epoch, last: Zxid) -> Result<At, Broken> {
    let s = &g.servers[n];
    let end = s.logged;
    let what = || format!("established in epoch {epoch} with a log up to {}", g.zxid(end));
    if g.zxid(end) != last {
        return broken("Z9", what(), format!("it says that its log ends at {last}"));
    }
    if !g.complete(end) && !g.overtaken(end, epoch) {
        let second = format!("{} is decided; its log has what is decided only up to {}", g.zxid(g.tip), {
            let at = g.decided_part(end);
            g.zxid(at)
        });
        return broken_by("Z9", what(), second, Earlier::about(Kind::Decided, g.zxid(g.tip).0));
    }
    quorum(g, end, &what)?;
    Ok(end)
}

/// A leader decides. Returns what.
pub(super) fn decided(g: &Ghost, n: usize, zxid: Zxid) -> Result<At, Broken> {
    let what = || format!("it decides {zxid}");
    let Some(at) = g.find(zxid, g.tip) else { return broken("Z4", what(), "nobody has proposed that".into()) };
    if g.leaders.get(&zxid.epoch()) != Some(&n) || g.servers[n].leads.is_none() {
        let earlier = Earlier::about(Kind::Established, zxid.epoch());
        return broken_by("Z1", what(), "it is not the established leader of that epoch".into(), earlier);
    }
    // A deposed leader may learn late what others have decided since: then it is nothing new.
    if g.entry(at).parent != g.tip && !g.entry(at).decided {
        let second = format!("decided so far: {}; before it comes {}", g.zxid(g.tip), g.zxid(g.entry(at).parent));
        return broken_by("Z12", what(), second, Earlier::about(Kind::Decided, g.zxid(g.tip).0));
    }
    quorum(g, at, &what)?;
    Ok(at)
}

fn quorum(g: &Ghost, at: At, what: &impl Fn() -> String) -> Checked {
    // A disk that was spoiled since may have taken a copy with it that was rightly acknowledged.
    if at != ROOT && !g.is_safe(at) && !g.decides(|s| s.excused || g.contains(s.durable, at)) {
        let copies = g.entry(at).copies;
        let holders: Vec<String> =
            g.servers.iter().filter(|s| s.voter && g.contains(s.durable, at)).map(|s| s.sid.to_string()).collect();
        let second = format!("{} is durable at {copies} of {} voters: [{}]", g.zxid(at), g.voters, holders.join(" "));
        return broken_by("Z11", what(), second, Earlier::about(Kind::Proposed, g.zxid(at).0));
    }
    Ok(())
}

/// The entries from the newest decided one up to `end`, ascending, now decided.
pub(super) fn extend(g: &mut Ghost, end: At) -> Result<Vec<At>, Broken> {
    if g.entry(end).decided {
        return Ok(Vec::new());
    }
    let mut new = Vec::new();
    if g.entry(end).decided {
        return Ok(new);
    }
    let mut at = end;
    while !g.entry(at).decided {
        new.push(at);
        at = g.entry(at).parent;
    }
    if at != g.tip {
        let first = format!("{} is decided behind {}", g.zxid(end), g.zxid(at));
        let second = format!("{} was decided behind {} before", g.zxid(g.tip), g.zxid(at));
        return broken_by("Z5", first, second, Earlier::about(Kind::Decided, g.zxid(g.tip).0));
    }
    for at in &new {
        g.entries[*at as usize].decided = true;
    }
    g.tip = end;
    new.reverse();
    Ok(new)
}

/// A server applied a transaction.
pub(super) fn applied(g: &mut Ghost, n: usize, zxid: Zxid, hash: u64, digest: u64) -> Checked {
    let s = &g.servers[n];
    let (before, durable) = (s.applied, s.durable);
    let what = || format!("it applies {zxid} with hash {hash:#x}");
    let Some(at) = g.find(zxid, before) else { return broken("Z4", what(), "nobody has proposed that".into()) };
    let e = g.entry(at);
    if e.hash != hash {
        let second = format!("the leader of epoch {} proposed {:#x}", zxid.epoch(), e.hash);
        return broken_by("Z5", what(), second, Earlier::about(Kind::Proposed, zxid.0));
    }
    if !e.decided {
        let second = format!("decided so far: {}", g.zxid(g.tip));
        return broken_by("Z5", what(), second, Earlier::about(Kind::Decided, g.zxid(g.tip).0));
    }
    if s.role == Role::Recovering && s.excused && (s.holed || e.parent != before) {
        let s = &mut g.servers[n];
        (s.holed, s.applied) = (true, at);
        return Ok(());
    }
    if e.parent != before {
        let second = format!("it delivered {} last; {zxid} follows {}", g.zxid(before), g.zxid(e.parent));
        return broken_by("Z6", what(), second, Earlier::about(Kind::Applied, g.zxid(before).0).at(n));
    }
    // While it recovers, its log is what it reads: a record may survive a power cut without its fsync. `recovered` looks.
    if s.role != Role::Recovering && e.depth > g.entry(durable).depth {
        let second = format!("its log is durable up to {}", g.zxid(durable));
        return broken_by("Z13", what(), second, Earlier::of(Kind::Durable, n));
    }
    if e.digest != digest {
        let id = if s.role == Role::Recovering { "D2" } else { "D1" };
        let second = format!("the model's digest at {zxid} is {:#x}", e.digest);
        let earlier = Earlier::about(Kind::Proposed, zxid.0);
        return broken_by(id, format!("its tree has digest {digest:#x} after {zxid}"), second, earlier);
    }
    g.servers[n].applied = at;
    Ok(())
}

/// Clients see its tree from now on.
pub(super) fn serves(g: &Ghost, n: usize) -> Checked {
    let at = g.servers[n].applied;
    if !g.entry(at).decided {
        let second = format!("decided so far: {}", g.zxid(g.tip));
        return broken("Z5", format!("it begins to serve with a tree at {}", g.zxid(at)), second);
    }
    Ok(())
}

/// The tree now stands at `at`.
pub(super) fn replaced(g: &mut Ghost, n: usize, at: At, digest: u64) -> Checked {
    let e = g.entry(at);
    if e.decided && e.digest != digest {
        let second = format!("the model's digest at {} is {:#x}", e.zxid, e.digest);
        return broken("D2", format!("its tree is replaced by one with digest {digest:#x}"), second);
    }
    g.servers[n].holed = false;
    g.servers[n].applied = at;
    Ok(())
}
