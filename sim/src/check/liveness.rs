//! Liveness after healing: L1 a leader, L2 everyone follows it, L3 writes commit, L4 one state, L5 dead sessions expire, L7 no livelock.
//!
//! When: only when the run loop asks, after faults have stopped and a core of servers is whole and connected. O(servers).

use quorate_core::event::Health;
use quorate_core::ids::SessionId;

use super::ghost::{ROOT, Server};
use super::{Broken, Checks};

/// What counts from the moment of healing.
#[derive(Clone, Debug, Default)]
pub(super) struct Healed {
    terms: u64,
    writes: u64,
    commits: u64,
    /// Rounds of election since a server had a leader, by server.
    rounds: Vec<u32>,
    healed: bool,
}

/// Leaders that may be needed after healing (L7).
const LEADERS: u64 = 3;

/// Rounds of election in a row that may bring no leader to a server of the core, after healing (L7). The most in 1,500 seeds were 29;
/// what the bound of L1 has room for is about 100.
const ROUNDS: u32 = 80;

impl Checks {
    /// Faults are over from now on.
    pub fn healed(&mut self) {
        self.healed = Healed {
            terms: self.terms,
            writes: self.clients.writes,
            commits: self.commits,
            rounds: vec![0; self.ghost.servers.len()],
            healed: true,
        };
    }

    /// Server `n` begins a round of election.
    pub(super) fn election(&mut self, n: usize) {
        if let Some(rounds) = self.healed.rounds.get_mut(n) {
            *rounds += 1;
        }
    }

    /// Server `n` leads, or follows somebody who does.
    pub(super) fn settled(&mut self, n: usize) {
        if let Some(rounds) = self.healed.rounds.get_mut(n) {
            *rounds = 0;
        }
    }

    /// The first thing that the servers of `core` still owe, if any. `writing`: whether clients still ask for writes.
    #[must_use]
    pub fn owed(&self, core: &[usize], writing: bool) -> Option<Broken> {
        let g = &self.ghost;
        let owes =
            |invariant, happened: String, known: String| Some(Broken { invariant, happened, known, earlier: None });
        // An epoch whose counter is used up ends.
        let enough = LEADERS + (self.commits - self.healed.commits).div_ceil(u64::from(g.epoch_len.max(1)));
        if self.healed.healed && self.terms - self.healed.terms > enough {
            let n = self.terms - self.healed.terms;
            return owes("L7", format!("{n} leaders were established since healing"), format!("{enough} are enough"));
        }
        let leader = core.iter().filter(|n| g.servers[**n].leads.is_some()).max_by_key(|n| g.servers[**n].term);
        // A flipped digit is a promise too. An observer with such a one waits for a newer epoch: no leader ends its term for it.
        let newest = leader.map_or(0, |n| g.servers[*n].term);
        let locked_out = |s: &Server| !s.voter && s.excused && s.accepted > newest;
        let rounds = |n: &usize| self.healed.rounds.get(*n).copied().unwrap_or(0);
        if let Some(n) = core.iter().find(|n| rounds(n) > ROUNDS && !locked_out(&g.servers[**n])) {
            let happened = format!("server {} has begun {} rounds of election, and found no leader", n + 1, rounds(n));
            return owes("L7", happened, format!("{ROUNDS} are enough"));
        }
        let Some(leader) = leader else {
            let roles: Vec<String> =
                core.iter().map(|n| format!("{}: {}", g.servers[*n].sid, g.servers[*n].role.name())).collect();
            return owes("L1", "no server of the core leads".into(), roles.join(", "));
        };
        let (sid, epoch) = (g.servers[*leader].sid, g.servers[*leader].term);
        for n in core.iter().filter(|n| *n != leader) {
            let s = &g.servers[*n];
            // U3: with a spoiled disk it may end each time, as long as it says so.
            if s.refuses || locked_out(s) {
                continue;
            }
            if s.term != epoch || !s.serves {
                let known = format!("{sid} leads epoch {epoch}");
                return owes("L2", format!("server {} is {} in epoch {}", s.sid, s.role.name(), s.term), known);
            }
        }
        if writing && self.healed.healed && self.clients.writes == self.healed.writes {
            let known = format!("{sid} leads epoch {epoch}");
            return owes("L3", "no write was answered since healing".into(), known);
        }
        for n in core {
            let s = &g.servers[*n];
            if s.applied != g.tip && !s.refuses && !locked_out(s) {
                let known = format!("decided so far: {}", g.zxid(g.tip));
                return owes("L4", format!("server {} has applied up to {}", s.sid, g.zxid(s.applied)), known);
            }
        }
        None
    }

    /// Why a core cannot come back: what is needed is out of its reach.
    pub(super) fn out_of_reach(&self, core: &[usize]) -> Option<String> {
        let g = &self.ghost;
        let tip = g.zxid(g.tip);
        if !core.iter().any(|n| g.counts(*n) && g.contains(g.servers[*n].durable, g.tip)) {
            return Some(format!("no voter of the core has {tip}, which was decided"));
        }
        // An empty server counts only among servers that are as empty.
        let data = g.tip != ROOT || g.servers.iter().any(|s| s.current > 0 || s.durable != ROOT);
        // Who refuses to start for its disk's sake is not heard.
        let here = |s: &Server| !s.refuses && core.iter().any(|n| g.servers[*n].sid == s.sid);
        let sound = |s: &Server| match s.health {
            Health::Intact => here(s),
            Health::Empty => !data && here(s),
            Health::Damaged | Health::Doubtful => false,
        };
        // Nobody can say what a damaged one had; an empty one among servers with data waits for a leader.
        let whole = |s: &Server| match s.health {
            Health::Intact | Health::Doubtful => here(s),
            Health::Empty => !data && here(s),
            Health::Damaged => false,
        };
        let trusted = g.servers.iter().filter(|s| s.voter && sound(s)).count();
        (!g.decides(sound) && !g.servers.iter().filter(|s| s.voter).all(whole)).then(|| {
            format!("only {trusted} voters of the core can trust their disks, and not every voter can be heard")
        })
    }

    /// L5: a session that lives although nobody has used it for longer than it may. The world knows which are in use.
    #[must_use]
    pub fn undying(&self, in_use: impl Fn(SessionId) -> bool) -> Option<Broken> {
        let session = self.model.sessions().find(|s| !in_use(*s))?;
        Some(Broken {
            invariant: "L5",
            happened: format!("session {session} is alive, timeout {} ms", self.model.timeout(session).unwrap_or(0)),
            known: "no client has used it for longer than its timeout and two buckets".into(),
            earlier: None,
        })
    }
}
