//! After the fault period: a core is healed for good and has to come back within bounds (simulation-catalogue section 3).
//!
//! The others keep what they have for ever. What is still owed the checks know; this file knows when it is due, and how a run
//! winds down: work until enough is done, then silence, then the end of all sessions.

use quorate_core::event::{Dir, Port};
use quorate_core::ids::Sid;

use crate::network::Block;
use crate::observe::{Down, Obs, Verdict, Violation};
use crate::queue::{Micros, Plan};
use crate::quorum::Quorum;
use crate::report::{Earlier, Kind};
use crate::rng::{Purpose, Stream};
use crate::spec::Core;
use crate::world::World;

/// Ticks of the slowest ten rounds of an election (notifications back off to ten ticks).
const TEN_ROUNDS: i64 = 185;

/// So many ticks without a decision are enough where none can be demanded.
const STUCK: i64 = 300;

/// So many snapshots more than are to be kept are not yet garbage.
const SPARE: usize = 8;

/// Disk operations, and bytes for a learner, that may be on their way at a server that has nothing to do.
const LANE: usize = 32;
const QUEUE: usize = 4 << 10;

/// Where the end of a run stands.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    core: Vec<usize>,
    healed_at: Micros,
    /// Transactions decided when progress was judged last.
    commits: u64,
    /// When something was decided last.
    moved_at: Micros,
    /// Nothing has been asked or decided since.
    idle_since: Option<Micros>,
    /// The clients have been told to leave, then.
    left_at: Option<Micros>,
}

impl World<'_> {
    fn choose_core(&self) -> Vec<usize> {
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        if self.spec.checks.core == Core::All {
            return all;
        }
        let mut stream = Stream::new(self.spec.seed, Purpose::Core, 0);
        let voters = self.spec.topology.voters as usize;
        let mut order: Vec<usize> = (0..voters).collect();
        stream.shuffle(&mut order);
        // A spoiled disk may legally refuse to start: whole ones first.
        order.sort_by_key(|n| self.spoiled(*n));
        let quorum = Quorum::of(&self.spec.topology);
        order.truncate(stream.between(quorum.first(&order) as u64, voters as u64) as usize);
        let whole: Vec<usize> = order.iter().copied().filter(|n| !self.spoiled(*n)).collect();
        let mut core = if quorum.decides(|n| whole.contains(&n)) { whole } else { order };
        core.extend((voters..self.nodes.len()).filter(|n| stream.permille(500) && !self.spoiled(*n)));
        // A wiped one must come back beside a whole quorum.
        let wiped = |n: &usize| self.nodes[*n].wiped && !self.nodes[*n].rotten && stream.permille(500);
        let wiped: Vec<usize> = (0..self.nodes.len()).filter(wiped).filter(|n| !core.contains(n)).collect();
        core.extend(wiped);
        // So must a rotten one, unless it finds that it cannot start: that is not owed.
        let rotten = |n: &usize| self.nodes[*n].rotten && stream.permille(350);
        let rotten: Vec<usize> = (0..self.nodes.len()).filter(rotten).filter(|n| !core.contains(n)).collect();
        core.extend(rotten);
        core.sort_unstable();
        core
    }

    fn spoiled(&self, n: usize) -> bool {
        self.nodes[n].rotten || self.nodes[n].wiped
    }

    /// The fault period ends.
    pub(crate) fn heal(&mut self) {
        self.plans.stop();
        self.net.calm();
        for n in 0..self.nodes.len() {
            self.move_back(n);
            self.end_clone(n);
        }
        self.heal_clients();
        let core = self.choose_core();
        self.heal_core(core);
        self.plan_judge();
        self.note_wrong();
    }

    /// Servers that cannot trust their disks count once every voter is heard: where the core waits for that, every voter whose
    /// disk is whole comes back too. Returns whether there was one more.
    fn widen_core(&mut self) -> bool {
        let voters = self.spec.topology.voters as usize;
        let away: Vec<usize> = (0..voters).filter(|n| !self.progress.core.contains(n)).collect();
        let mut core: Vec<usize> = away.iter().copied().filter(|n| !self.spoiled(*n)).collect();
        if core.is_empty() {
            // Doubtful servers want to hear every voter, also one whose disk was spoiled.
            core = away;
        }
        if core.is_empty() {
            return false;
        }
        core.extend(&self.progress.core);
        core.sort_unstable();
        self.net.blocks.retain(|block| block.id != 0);
        self.heal_core(core);
        true
    }

    fn heal_core(&mut self, core: Vec<usize>) {
        let hosts = self.nodes.len() + self.clients.len();
        self.net.core = (0..hosts).map(|h| h >= self.nodes.len() || core.contains(&h)).collect();
        for n in &core {
            self.heal_node(*n);
        }
        self.abandon(&core);
        let attachable: Vec<usize> = core.iter().copied().filter(|n| self.attachable.contains(n)).collect();
        if !attachable.is_empty() {
            self.attachable = attachable;
        }
        self.rearm();
        self.watcher.tell(Obs::Healed { core: &core });
        self.progress = Progress { core, healed_at: self.now, ..Progress::default() };
    }

    /// Servers outside the core are dead or badly connected from now on: the core must do without them.
    fn abandon(&mut self, core: &[usize]) {
        let mut stream = Stream::new(self.spec.seed, Purpose::Core, 1);
        for n in (0..self.nodes.len()).filter(|n| !core.contains(n)) {
            let all = vec![true; self.nodes.len() + self.clients.len()];
            let this = (0..all.len()).map(|h| h == n).collect::<Vec<bool>>();
            let (mut from, mut to) = (this.clone(), all.clone());
            match stream.below(5) {
                0 => {
                    self.stop(n, Down::Kill);
                    self.nodes[n].booting = false;
                    continue;
                }
                // It hears nothing, and goes on talking.
                1 => std::mem::swap(&mut from, &mut to),
                // It hears everything, and nobody hears it.
                2 => {}
                // Nobody can follow it, and now and then its vote is heard.
                3 => {
                    self.queue.push(self.now, Plan::Flap { node: n as u32, on: true });
                    self.net.blocks.push(Block { id: 0, from: all, to: this, port: None });
                }
                _ => self.net.blocks.push(Block { id: 0, from: all, to: this, port: None }),
            }
            self.net.blocks.push(Block { id: 0, from, to, port: None });
        }
    }

    /// The election port of a server outside the core opens for a moment, or closes.
    pub(crate) fn flap(&mut self, n: usize, on: bool) {
        let hosts = self.nodes.len() + self.clients.len();
        let this: Vec<bool> = (0..hosts).map(|h| h == n).collect();
        let all = vec![true; hosts];
        let mut stream = Stream::new(self.spec.seed, Purpose::Core, 2 + self.now);
        self.net.blocks.retain(|b| !(b.id == 0 && (b.from == this || b.to == this)));
        let shut = [Port::Election, Port::Quorum, Port::Client];
        for port in shut.into_iter().filter(|port| !on || *port != Port::Election) {
            self.net.blocks.push(Block { id: 0, from: this.clone(), to: all.clone(), port: Some(port) });
            self.net.blocks.push(Block { id: 0, from: all.clone(), to: this.clone(), port: Some(port) });
        }
        self.rearm();
        let ticks = if on { stream.between(1, 3) } else { stream.between(20, 80) };
        self.queue.push(self.now + self.ticks(ticks as i64), Plan::Flap { node: n as u32, on: !on });
    }

    fn plan_judge(&mut self) {
        self.queue.push(self.now + self.ticks(1), Plan::Judge);
    }

    fn done_working(&self) -> bool {
        self.ops_left == 0 && self.clients.iter().all(crate::client::Client::is_idle)
    }

    /// Looks at what is owed, once a tick.
    pub(crate) fn judge(&mut self) {
        if self.ops_left == 0 && self.commits < self.spec.workload.generate.min_commits && !self.clients.is_empty() {
            self.ops_left += 16;
            self.refilled = (self.now, (self.now / 1000) as i64 / self.spec.timing.tick_ms.max(1));
            (0..self.clients.len()).for_each(|c| self.plan_client(c));
        }
        let working = !self.done_working();
        // Sessions that expire are closed by transactions too.
        let deciding = self.commits != self.progress.commits;
        if deciding || self.progress.moved_at == 0 {
            self.progress.moved_at = self.now;
        }
        self.progress.commits = self.commits;
        if working || deciding {
            self.progress.idle_since = None;
        } else if self.progress.idle_since.is_none() {
            self.progress.idle_since = Some(self.now);
        }
        if !self.spec.checks.liveness || self.outside {
            // Outside the guarantee it may be that nothing is ever decided again.
            let stuck = self.outside && self.now > self.progress.moved_at + self.ticks(STUCK);
            if !working || stuck {
                self.finish();
            } else {
                self.plan_judge();
            }
            return;
        }
        let owed = self.watcher.check().unmet(&self.progress.core, working);
        if let Some(owed) = &owed
            && self.is_late(owed.invariant)
        {
            self.not_alive(owed.clone());
            return;
        }
        if let Some(waiting) = self.unanswered() {
            return self.not_alive(waiting);
        }
        if let Some(left_at) = self.progress.left_at {
            if let Some(waiting) = self.cannot_leave(left_at) {
                return self.not_alive(waiting);
            }
            if owed.is_none() && self.clients.iter().all(crate::client::Client::is_gone) {
                match self.watcher.check().undead().or_else(|| self.leftover()) {
                    None => return self.finish(),
                    Some(owed) => {
                        let [_, longest] = self.spec.timing.session_ms;
                        let bound = self.ticks(longest / self.spec.timing.tick_ms.max(1) + 2 + 20);
                        let began = left_at.max(self.exhausted_at).max(self.established_at);
                        if self.now > began + bound {
                            return self.not_alive(owed);
                        }
                    }
                }
            }
        } else if owed.is_none() && !working {
            self.progress.left_at = Some(self.now);
            for c in 0..self.clients.len() {
                self.clients[c].leave(c % 2 == 0);
                self.plan_client(c);
            }
        }
        self.plan_judge();
    }

    /// A client that cannot end its session for longer than it takes to find a server and get an answer.
    fn cannot_leave(&self, left_at: Micros) -> Option<Violation> {
        let [_, longest] = self.spec.timing.session_ms;
        let bound = self.ticks(2 * longest / self.spec.timing.tick_ms.max(1) + 6 * self.spec.timing.sync_limit + 20);
        let waiting = self.clients.iter().position(|c| !c.is_gone())?;
        (self.now > left_at.max(self.exhausted_at) + bound).then(|| Violation {
            invariant: "L3",
            at_ms: 0,
            node: None,
            text: format!("client {} gets no answer to its closeSession; but the core is whole", waiting + 1),
            earlier: Some(Earlier { kind: Kind::Healed, node: None, number: None }),
        })
    }

    /// L3: a request on a connection that lives, without an answer for longer than a whole recovery takes.
    fn unanswered(&self) -> Option<Violation> {
        let began = self.progress.healed_at.max(self.exhausted_at);
        let bound = self.ticks(self.bounds()[2]);
        let is_late = |at: &Micros| self.now > began.max(*at) + bound;
        let (c, at) =
            self.clients.iter().enumerate().find_map(|(c, client)| Some((c, client.waits_since().filter(is_late)?)))?;
        let text =
            format!("a request of client {}, asked at {} ms, has no answer; but the core is whole", c + 1, at / 1000);
        Some(Violation { invariant: "L3", at_ms: 0, node: None, text, earlier: None })
    }

    /// L6: all clients are gone, and a server of the core holds something for them, or files that no purge has taken.
    fn leftover(&self) -> Option<Violation> {
        let owed = |node: usize, text: String| {
            let text = format!("{text}; but all clients are gone, and everything is decided");
            Some(Violation { invariant: "L6", at_ms: 0, node: Some(node), text, earlier: None })
        };
        self.progress.core.iter().find_map(|n| {
            let peer = self.nodes[*n].server()?;
            let (requests, watches) = (peer.front().outstanding(), peer.watches().count());
            if requests > 0 || watches > 0 {
                return owed(*n, format!("server {} has {requests} requests in flight and {watches} watches", n + 1));
            }
            let lanes: usize = self.nodes[*n].lanes.iter().map(|lane| lane.ops.len()).sum();
            if lanes > LANE {
                return owed(*n, format!("{lanes} disk operations of server {} are queued", n + 1));
            }
            let view = peer.view(self.nodes[*n].clock.now(self.now));
            let in_core =
                |sid: Option<Sid>| sid.is_some_and(|sid| self.progress.core.iter().any(|m| *m as i64 + 1 == sid.0));
            let queued = view.learners.iter().filter(|l| in_core(l.sid)).map(|l| l.queued_bytes).max().unwrap_or(0);
            if queued > QUEUE {
                return owed(*n, format!("server {} has {queued} bytes for a learner that it has not sent", n + 1));
            }
            let limits = &self.spec.limits;
            let old = self.dead_logs(*n);
            // Some that cannot be read may stay, and those that could not be removed.
            let spare = SPARE + self.nodes[*n].unremoved;
            if limits.purge_ticks > 0 && !self.spoiled(*n) && old > spare {
                return owed(*n, format!("server {} has {old} log files from before its oldest snapshot", n + 1));
            }
            let snapshots = self.nodes[*n].disk.names(Dir::Data).filter(|name| name.starts_with("snapshot.")).count();
            if limits.purge_ticks > 0 && !self.spoiled(*n) && snapshots > limits.retain.max(3) + spare {
                return owed(*n, format!("server {} has {snapshots} snapshots, {} are to stay", n + 1, limits.retain));
            }
            None
        })
    }

    /// Log files of a server that hold nothing above its oldest snapshot.
    fn dead_logs(&self, n: usize) -> usize {
        let disk = &self.nodes[n].disk;
        let number = |name: &str, prefix: &str| i64::from_str_radix(name.strip_prefix(prefix)?, 16).ok();
        let oldest = disk.names(Dir::Data).filter_map(|name| number(name, "snapshot.")).min().unwrap_or(0);
        // The next file's name says where one ends.
        disk.names(Dir::Log)
            .filter_map(|name| number(name, "log."))
            .filter(|first| *first <= oldest)
            .count()
            .saturating_sub(1)
    }

    /// How long after healing L1, L2 and L3 are due, ticks.
    fn bounds(&self) -> [i64; 3] {
        let t = &self.spec.timing;
        let l1 = t.init_limit + t.sync_limit + TEN_ROUNDS;
        let l2 = l1 + 3 * t.init_limit;
        [l1, l2, l2 + 2 * t.sync_limit]
    }

    /// Whether this should have been there by now.
    fn is_late(&self, invariant: &str) -> bool {
        let [l1, l2, l3] = self.bounds();
        // A leader that has used up its counter gives up, and everything begins anew.
        let began = self.progress.healed_at.max(self.exhausted_at);
        let since_heal = |ticks| self.now > began + self.ticks(ticks);
        match invariant {
            "L1" => since_heal(l1),
            "L2" => since_heal(l2),
            "L3" => since_heal(l3),
            "L4" => {
                since_heal(l3)
                    && self
                        .progress
                        .idle_since
                        .is_some_and(|idle| self.now > idle + self.ticks(2 * self.spec.timing.sync_limit))
            }
            _ => true,
        }
    }

    fn not_alive(&mut self, mut owed: Violation) {
        owed.at_ms = self.watcher.ms();
        match self.watcher.check().excuse(&self.progress.core) {
            None => self.fail(Verdict::LivenessFailure, owed),
            Some(_) if self.widen_core() => {
                self.widened = true;
                self.plan_judge();
            }
            Some(why) => {
                owed.text = format!("{}; excused: {why}", owed.text);
                self.fail(Verdict::Excused, owed);
            }
        }
    }

    fn finish(&mut self) {
        self.watcher.tell(Obs::End);
        self.over = Some(if self.watcher.violation.is_some() { Verdict::Violation } else { Verdict::Pass });
    }

    /// `max_ticks` are over. What is owed and late is a failure; a workload that did not end is not.
    pub(crate) fn out_of_time(&mut self) {
        let owed = self.watcher.check().unmet(&self.progress.core, true);
        match owed {
            Some(owed)
                if self.spec.checks.liveness && !self.outside && self.plans.over && self.is_late(owed.invariant) =>
            {
                self.not_alive(owed);
            }
            _ => self.finish(),
        }
    }
}
