//! Epochs and votes: Z1 one leader per epoch, Z2 epochs never go back, Z3 promises, Z16 truthful votes.
//!
//! When: as a server reports an epoch durable, sends ACKEPOCH, begins an election, is established, or has recovered. O(1).

use quorate_core::event::{Health, Role};
use quorate_core::ids::{Epoch, Millis, Zxid};

use super::ghost::{At, Ghost, Server};
use super::{Checked, broken, broken_by};
use crate::report::{Earlier, Kind};

/// acceptedEpoch is durable.
pub(super) fn accepted(g: &mut Ghost, n: usize, epoch: Epoch) -> Checked {
    let s = &mut g.servers[n];
    if epoch < s.accepted {
        let second = format!("it was {} before", s.accepted);
        let earlier = Earlier::about(Kind::EpochAccepted, s.accepted).at(n);
        return broken_by("Z2", format!("acceptedEpoch {epoch} is durable"), second, earlier);
    }
    s.accepted = epoch;
    Ok(())
}

/// currentEpoch is durable: it vouches for the history with which its leader opened it.
pub(super) fn current(g: &mut Ghost, n: usize, epoch: Epoch) -> Checked {
    let s = &g.servers[n];
    if epoch < s.current || epoch > s.accepted {
        let known = format!("currentEpoch was {}, acceptedEpoch is {}", s.current, s.accepted);
        return broken_by("Z2", format!("currentEpoch {epoch} is durable"), known, Earlier::of(Kind::EpochAccepted, n));
    }
    // A snapshot in this synchronisation is installed before the epoch is written.
    let end = if s.snapshot { s.logged } else { s.durable };
    g.servers[n].current = epoch;
    g.servers[n].cut = false;
    vouches(g, n, epoch, end)
}

/// Whoever has `epoch` as its current one must have the history with which that epoch began.
pub(super) fn vouches(g: &mut Ghost, n: usize, epoch: Epoch, end: At) -> Checked {
    if epoch == 0 {
        return Ok(());
    }
    let (opener, begin) = *g.opened.entry(epoch).or_insert((n, end));
    if g.contains(end, begin) {
        return Ok(());
    }
    let first = format!("currentEpoch {epoch} is durable over a log that ends at {}", g.zxid(end));
    let second = format!("server {} opened epoch {epoch} with a log up to {}", g.servers[opener].sid, g.zxid(begin));
    broken_by("Z13", first, second, Earlier::about(Kind::EpochCurrent, epoch).at(opener))
}

/// ACKEPOCH leaves.
pub(super) fn epoch_acked(g: &mut Ghost, n: usize, epoch: Epoch) -> Checked {
    let s = &mut g.servers[n];
    if s.accepted < epoch {
        let second = format!("durable acceptedEpoch is {}", s.accepted);
        let earlier = Earlier::of(Kind::EpochAccepted, n);
        return broken_by("Z3", format!("ACKEPOCH({epoch}) is sent"), second, earlier);
    }
    if epoch < s.promised {
        let second = format!("ACKEPOCH({}) was sent before", s.promised);
        let earlier = Earlier::about(Kind::EpochAcked, s.promised).at(n);
        return broken_by("Z3", format!("ACKEPOCH({epoch}) is sent"), second, earlier);
    }
    s.promised = epoch;
    Ok(())
}

/// A leader has its quorum of ACK(NEWLEADER).
pub(super) fn established(g: &mut Ghost, n: usize, epoch: Epoch, now: Millis) -> Checked {
    if !g.servers[n].voter {
        let second = "it has no vote and may not be elected".into();
        return broken("Z16", format!("established as leader of epoch {epoch}"), second);
    }
    if let Some(other) = g.leaders.insert(epoch, n)
        && (other != n || g.servers[n].leads.is_some())
    {
        let first = format!("established as leader of epoch {epoch}");
        let second = format!("server {} was established as leader of epoch {epoch}", g.servers[other].sid);
        return broken_by("Z1", first, second, Earlier::about(Kind::Established, epoch).at(other));
    }
    let s = &mut g.servers[n];
    if s.current != epoch || s.accepted < epoch {
        let known = format!("durable currentEpoch is {}, acceptedEpoch {}", s.current, s.accepted);
        let earlier = Earlier::of(Kind::EpochCurrent, n);
        return broken_by("Z2", format!("established as leader of epoch {epoch}"), known, earlier);
    }
    if epoch < s.promised {
        let second = format!("ACKEPOCH({}) was sent", s.promised);
        let earlier = Earlier::about(Kind::EpochAcked, s.promised).at(n);
        return broken_by("Z3", format!("established in epoch {epoch}"), second, earlier);
    }
    s.term = epoch;
    s.health = Health::Intact;
    s.leads = Some(now);
    let sid = s.sid;
    let acked = |s: &Server| s.sid == sid || s.newleader >= epoch;
    if !g.decides(acked) {
        let acks = g.servers.iter().filter(|s| s.voter && acked(s)).count();
        let second = format!("{acks} of {} voters have sent ACK(NEWLEADER), itself among them", g.voters);
        let earlier = Earlier::about(Kind::NewLeaderAcked, epoch);
        return broken_by("Z11", format!("established as leader of epoch {epoch}"), second, earlier);
    }
    Ok(())
}

/// The role changed: whatever was allowed in the old term is over.
pub(super) fn role(g: &mut Ghost, n: usize, role: Role) {
    let s = &mut g.servers[n];
    if role != s.role && !matches!(role, Role::Following | Role::Observing | Role::Leading) {
        s.term = 0;
        s.leads = None;
        s.serves = false;
        s.expired.clear();
    }
    s.refuses &= role == Role::Recovering;
    s.role = role;
}

/// A round of election begins with this vote for oneself.
pub(super) fn vote(g: &mut Ghost, n: usize, zxid: Zxid, epoch: Epoch) -> Checked {
    if g.servers[n].snapshot {
        // Installed, but the term ended before ACK(NEWLEADER): had it not been installed, recovery would have come first.
        let end = g.servers[n].logged;
        g.set_durable(n, end);
    }
    let s = &mut g.servers[n];
    s.term = 0;
    s.leads = None;
    s.serves = false;
    s.resync = None;
    s.snapshot = false;
    s.expired.clear();
    truthful(g, n, zxid, epoch)
}

/// What a server says to others of its own history while it looks for a leader.
pub(super) fn told(g: &Ghost, n: usize, zxid: Zxid, epoch: Epoch) -> Checked {
    let s = &g.servers[n];
    // A leader has cut its log, and somebody still votes for it with what it had: larger votes are taken over, as in Java, also those
    // for oneself. Discovery compares histories, so nothing rests on it. What it begins with itself is `vote`'s.
    if s.cut && epoch == s.current && zxid > g.zxid(s.durable) && g.find(zxid, s.durable).is_some() {
        return Ok(());
    }
    truthful(g, n, zxid, epoch)
}

fn truthful(g: &Ghost, n: usize, zxid: Zxid, epoch: Epoch) -> Checked {
    let s = &g.servers[n];
    let (durable, logged, current, voter) = (s.durable, s.logged, s.current, s.voter);
    let (durable, logged) = (g.zxid(durable), g.zxid(logged));
    if !voter {
        // An observer announces the least zxid there is: it never counts.
        return Ok(());
    }
    // Observers say Long.MIN_VALUE: they are for nobody to elect.
    let silent = zxid == Zxid::NONE || (zxid.0 == i64::MIN && !voter);
    if !silent && zxid != durable {
        let second = format!("its durable log ends at {durable}, what it has logged at {logged}");
        return broken_by("Z16", format!("it votes with zxid {zxid}"), second, Earlier::of(Kind::Durable, n));
    }
    if !silent && epoch != current {
        let second = format!("its durable currentEpoch is {current}");
        let earlier = Earlier::of(Kind::EpochCurrent, n);
        return broken_by("Z16", format!("it votes with epoch {epoch}"), second, earlier);
    }
    Ok(())
}

/// What recovery found in the epoch files.
pub(super) fn recovered(g: &mut Ghost, n: usize, accepted: Epoch, current: Epoch) -> Checked {
    let s = &mut g.servers[n];
    if !s.excused && (accepted < s.accepted || current < s.current) {
        let first = format!("recovery finds acceptedEpoch {accepted}, currentEpoch {current}");
        let second = format!("durable before: {} and {}", s.accepted, s.current);
        return broken_by("Z2", first, second, Earlier::of(Kind::EpochCurrent, n));
    }
    if current > accepted {
        return broken("Z2", format!("recovery finds currentEpoch {current}"), format!("acceptedEpoch is {accepted}"));
    }
    s.accepted = accepted;
    s.current = current;
    s.promised = accepted;
    s.term = 0;
    s.leads = None;
    Ok(())
}
