//! Everything that exists at one instant, as a value: it is copied before each choice.

mod links;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::hash::Hasher as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use quorate_core::config::Configuration;
use quorate_core::event::{Action, Dir, Event, FileName, Input, LinkEvent, Port, Role};
use quorate_core::ids::{LinkId, Millis, Now, Zxid};
use quorate_core::peer::Peer;

use super::client::Client;
use super::machine::{Conn, Machine, Queued, lane_number, number};
use super::memo::{Mark, Memo, Step, Wish};
use super::{Bounds, Choice};
use crate::check::Checks;
use crate::node;
use crate::observe::{Check, Down, Obs, Observation, Violation};
use crate::spec::RunSpec;

/// Where the wall clocks stand.
const WALL_MS: Millis = 1_767_225_600_000;
/// With a quorum up and everything delivered and written before time passes, every server that is up must serve after so long
/// without an accident.
const PATIENCE_MS: Millis = 60_000;
/// More than this at once is a storm.
const STORM: usize = 100_000;

/// What is no choice: it happens at once, in the order in which it came up.
#[derive(Clone, Debug)]
enum Soon {
    /// A connection is accepted, and open.
    Open(u64),
    /// Nobody listens there.
    Refused { node: usize, life: u32, link: LinkId },
    /// Something arrives on an election connection.
    Arrive { conn: u64, end: usize },
    /// What was sent has left.
    Drained { node: usize, life: u32, link: LinkId, bytes: usize },
    /// The head of a disk queue, unless it is an fsync.
    Disk { node: usize, life: u32, lane: usize },
    /// Bytes for the client.
    Reply { node: usize, life: u32, link: LinkId, bytes: Bytes },
}

/// See the module.
#[derive(Clone)]
pub struct State {
    spec: Rc<RunSpec>,
    ensemble: Arc<Configuration>,
    left: Bounds,
    now: Millis,
    /// When something was last done to the ensemble that may cost a server its role.
    calm_since: Millis,
    /// What all states of one thread know.
    memo: Rc<RefCell<Memo>>,
    machines: Vec<Rc<Machine>>,
    conns: Vec<Conn>,
    next_conn: u64,
    client: Client,
    checks: Checks,
    seq: u64,
    soon: VecDeque<Soon>,
    /// The server that somebody outside, or a check, has seen to do something last.
    seen: Option<usize>,
    violation: Option<Violation>,
    /// What happens, in words, where somebody wants to read it.
    trace: Option<Vec<String>>,
}

impl State {
    /// An ensemble with an established leader, one session, nothing under way, and these bounds ahead of it.
    ///
    /// # Errors
    /// What is broken before it is there.
    pub fn start(bounds: &Bounds, mutant: Option<&str>, trace: bool) -> Result<Self, Violation> {
        let spec = Rc::new(spec(bounds, mutant));
        let machines = (0..spec.servers()).map(|_| Rc::new(Machine::new(spec.disk.sector as usize)));
        let mut state = Self {
            ensemble: node::ensemble(&spec),
            left: *bounds,
            now: 1_000,
            calm_since: 1_000,
            memo: Rc::default(),
            machines: machines.collect(),
            conns: Vec::new(),
            next_conn: 0,
            client: Client::new(),
            checks: Checks::new(&spec),
            seq: 0,
            soon: VecDeque::new(),
            seen: None,
            violation: None,
            trace: trace.then(Vec::new),
            spec,
        };
        state.guarded(|s| {
            (0..s.machines.len()).for_each(|n| s.boot(n));
            s.rest();
            if s.violation.is_some() {
                return;
            }
            let leader = (0..s.machines.len()).find(|n| s.machines[*n].leads()).expect("an established leader");
            s.attach(leader);
            s.rest();
            assert!(s.violation.is_some() || s.client.is_idle(), "the client has its session");
        });
        state.come_to_rest();
        state.violation.take().map_or(Ok(state), Err)
    }

    /// What may happen next, always in the same order.
    #[must_use]
    pub fn choices(&self) -> Vec<Choice> {
        let mut all = Vec::new();
        self.work(&mut all);
        let quiet = all.is_empty();
        let machines = || self.machines.iter().enumerate();
        if self.left.writes > 0 {
            all.extend(machines().filter(|(_, m)| m.leads()).map(|(node, _)| Choice::Write { node }));
        }
        all.extend(machines().filter(|(_, m)| !m.is_up()).map(|(node, _)| Choice::Restart { node }));
        if self.left.crashes > 0 {
            for (node, m) in machines().filter(|(_, m)| m.is_up()) {
                all.push(Choice::Crash { node, keep: false });
                if m.drive.disk.has_unsynced() {
                    all.push(Choice::Crash { node, keep: true });
                }
            }
        }
        if self.left.cuts > 0 {
            for c in self.conns.iter().filter(|c| c.port == Port::Quorum && c.ends.iter().all(|e| e.open)) {
                let (x, y) = (c.ends[0].node, c.ends[1].node);
                all.push(Choice::Cut { a: x.min(y), b: x.max(y) });
            }
        }
        if (quiet || self.left.lapses > 0) && self.waits() {
            all.push(Choice::Time);
        }
        all
    }

    /// Adds what is under way: bytes between leader and learners, fsyncs.
    fn work(&self, all: &mut Vec<Choice>) {
        for c in self.conns.iter().filter(|c| c.port == Port::Quorum) {
            for e in 0..2 {
                let choice = Choice::Deliver { from: c.ends[1 - e].node, to: c.ends[e].node };
                if c.arrives(e) && !all.contains(&choice) {
                    all.push(choice);
                }
            }
        }
        for node in 0..self.machines.len() {
            let syncing = [0, 1].into_iter().filter(|lane| self.waits_for_choice(node, *lane));
            all.extend(syncing.map(|lane| Choice::Disk { node, bulk: lane == 1 }));
        }
    }

    /// Whether a quorum is up and somebody waits for time to pass.
    fn waits(&self) -> bool {
        let up = self.machines.iter().filter(|m| m.is_up());
        up.clone().count() > self.machines.len() / 2 && up.into_iter().any(|m| !m.serves)
    }

    /// Whether this may happen now.
    #[must_use]
    pub fn allows(&self, choice: Choice) -> bool {
        self.choices().contains(&choice)
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// The property that this breaks.
    pub fn take(&mut self, choice: Choice) -> Result<(), Violation> {
        self.say(|| format!("== {choice}"));
        self.guarded(|s| s.happen(choice));
        self.come_to_rest();
        self.violation.take().map_or(Ok(()), Err)
    }

    /// A panic of a Peer is a violation like any other.
    fn guarded(&mut self, f: impl FnOnce(&mut Self)) {
        let ran = catch_unwind(AssertUnwindSafe(|| f(self)));
        if let Err(panic) = ran {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            let text = text.to_owned();
            self.violation = Some(Violation { invariant: "panic", at_ms: self.now, node: None, text, earlier: None });
        }
    }

    fn happen(&mut self, choice: Choice) {
        if let Choice::Crash { .. } | Choice::Restart { .. } | Choice::Cut { .. } = choice {
            self.calm_since = self.now;
        }
        match choice {
            Choice::Deliver { from, to } => {
                let fits = |c: &Conn, e: usize| c.ends[e].node == to && c.ends[1 - e].node == from && c.arrives(e);
                let found = self.conns.iter().filter(|c| c.port == Port::Quorum);
                let found = found.flat_map(|c| [(c, 0), (c, 1)]).find(|(c, e)| fits(c, *e));
                if let Some((id, e)) = found.map(|(c, e)| (c.id, e)) {
                    self.arrive(id, e);
                }
            }
            Choice::Disk { node, bulk } => self.sync(node, usize::from(bulk)),
            Choice::Write { node } => {
                self.left.writes -= 1;
                if self.client.at.is_none_or(|(at, _)| at != node) {
                    self.attach(node);
                }
                let bytes = self.with_client(|client, now, tell| client.write(now, tell));
                self.client_says(&bytes);
            }
            Choice::Crash { node, keep } => {
                self.left.crashes -= 1;
                let left = self.memo.borrow_mut().power_cut(&self.machines[node].drive, keep);
                self.machine(node).drive = left;
                self.stop(node, Down::PowerCut);
            }
            Choice::Restart { node } => self.boot(node),
            Choice::Cut { a, b } => {
                self.left.cuts -= 1;
                self.cut(a, b);
            }
            Choice::Time => {
                let mut work = Vec::new();
                self.work(&mut work);
                if work.is_empty() {
                    self.wait();
                } else {
                    self.left.lapses -= 1;
                    self.calm_since = self.now;
                    self.advance();
                }
            }
        }
        self.settle();
    }

    // ----- time --------------------------------------------------------------------------------------------------

    /// To the next deadline of anybody.
    fn advance(&mut self) {
        let next = self.machines.iter().filter_map(|m| m.next_deadline()).min();
        self.now = next.unwrap_or(self.now + 1).max(self.now + 1);
        self.settle();
    }

    /// Until something is under way, or every server has a role. All the waits since the last accident count
    /// together: a leader that pings its follower for ever is no answer to a third server that is never let in.
    fn wait(&mut self) {
        let mut work = Vec::new();
        while work.is_empty() && self.waits() && self.violation.is_none() {
            if self.now > self.calm_since + PATIENCE_MS {
                let roles: Vec<String> = self.machines.iter().map(|m| m.role.name().to_owned()).collect();
                let text = format!(
                    "a quorum is up and nothing is under way, but after {PATIENCE_MS} ms without an accident the servers are {}",
                    roles.join(", ")
                );
                self.violation = Some(Violation { invariant: "L1", at_ms: self.now, node: None, text, earlier: None });
                return;
            }
            self.advance();
            self.work(&mut work);
        }
    }

    /// Everything happens, one thing after the other, until every server has a role.
    fn rest(&mut self) {
        self.settle();
        while self.violation.is_none() {
            let mut work = Vec::new();
            self.work(&mut work);
            match work.first() {
                Some(choice) => self.happen(*choice),
                None if self.waits() => self.wait(),
                None => return,
            }
        }
    }

    /// What is no choice happens.
    fn settle(&mut self) {
        for _ in 0..STORM {
            if self.violation.is_some() {
                self.soon.clear();
                return;
            }
            if let Some(soon) = self.soon.pop_front() {
                self.soon(soon);
                continue;
            }
            let now = self.now;
            let due = self.machines.iter().position(|m| m.next_deadline().is_some_and(|at| at <= now));
            let Some(due) = due else {
                self.conns.retain(|c| !c.is_over());
                return;
            };
            self.step(due, Input::Tick);
        }
        panic!("a storm: {STORM} steps without rest");
    }

    fn soon(&mut self, soon: Soon) {
        let alive = |s: &Self, node: usize, life: u32| s.machines[node].life == life && s.machines[node].is_up();
        match soon {
            Soon::Open(id) => {
                let Some(c) = self.conns.iter().find(|c| c.id == id) else { return };
                let (port, ends) = (c.port, [1, 0].map(|e| (c.ends[e].node, c.ends[e].link, c.ends[e].open)));
                for (node, link, open) in ends {
                    if open && self.machines[node].is_up() {
                        self.step(node, Input::Link { link, event: LinkEvent::Opened { port, remote: remote(node) } });
                    }
                }
            }
            Soon::Refused { node, life, link } if alive(self, node, life) => {
                self.step(node, Input::Link { link, event: LinkEvent::Closed });
            }
            Soon::Arrive { conn, end } => self.arrive(conn, end),
            Soon::Drained { node, life, link, bytes } if alive(self, node, life) => {
                self.step(node, Input::Link { link, event: LinkEvent::Drained(bytes) });
            }
            Soon::Disk { node, life, lane } if alive(self, node, life) && !self.waits_for_choice(node, lane) => {
                self.disk(node, lane);
            }
            Soon::Reply { node, life, link, bytes } if alive(self, node, life) => {
                if self.client.at != Some((node, link)) {
                    return;
                }
                let answer = self.with_client(|client, now, tell| client.bytes(node, now, &bytes, tell));
                match answer {
                    Some(bytes) => self.client_says(&bytes),
                    None => self.detach(),
                }
            }
            _ => {}
        }
    }

    // ----- servers -----------------------------------------------------------------------------------------------

    fn clocks(&self) -> Now {
        Now { mono_ms: self.now, wall_ms: WALL_MS + self.now }
    }

    fn machine(&mut self, n: usize) -> &mut Machine {
        Rc::make_mut(&mut self.machines[n])
    }

    fn boot(&mut self, n: usize) {
        let now = self.clocks();
        self.tell(Obs::Started { node: n, digests: true });
        let life = self.machines[n].life;
        let make = || Peer::new(node::peer_config(&self.spec, &self.ensemble, n, n, life, Default::default()), now);
        let step = self.memo.borrow_mut().start(n, life, now, make);
        self.carry_out(n, &step);
    }

    fn step(&mut self, n: usize, input: Input<'_>) {
        self.step_marked(n, (input, 0));
    }

    /// With the digest of what a disk operation came to.
    fn step_marked(&mut self, n: usize, told: (Input<'_>, u64)) {
        let now = self.clocks();
        let Some(process) = &self.machines[n].process else { return };
        let step = self.memo.borrow_mut().step(process, now, told);
        self.carry_out(n, &step);
    }

    fn carry_out(&mut self, n: usize, step: &Step) {
        let machine = self.machine(n);
        machine.process = Some(step.process.clone());
        let life = machine.life;
        for wish in &step.wishes {
            self.act(n, wish);
            if self.machines[n].life != life || self.violation.is_some() {
                return;
            }
        }
        self.show_tree(n);
    }

    /// Between two choices nothing is due: servers that are alike are one from now on.
    fn come_to_rest(&mut self) {
        for n in 0..self.machines.len() {
            if let Some(process) = self.machines[n].process.as_ref().filter(|p| !p.rests) {
                let at_rest = self.memo.borrow_mut().rest(process);
                self.machine(n).process = Some(at_rest);
            }
        }
        self.memo.borrow_mut().make_room();
    }

    /// How much of what Peers and disks do is remembered, instead of 50,000 steps and operations. 0: nothing beyond one choice.
    pub fn remember(&self, most: usize) {
        self.memo.borrow_mut().most = most;
    }

    fn show_tree(&mut self, n: usize) {
        let Some((at, replaced)) = self.machines[n].moved else { return };
        self.machine(n).moved = None;
        let machine = self.machines[n].clone();
        if let Some(process) = &machine.process {
            self.tell(Obs::Tree { node: n, tree: process.peer.tree(), at, replaced });
        }
    }

    fn act(&mut self, n: usize, wish: &Wish) {
        let Wish { action, bytes, mark } = wish;
        let life = self.machines[n].life;
        if !matches!(action, Action::Disk { .. } | Action::Event(Event::FsyncTook(_))) {
            self.seen = Some(n);
        }
        match action {
            Action::Listen(port) => self.machine(n).listening[number(*port)] = true,
            Action::Unlisten(port) => self.machine(n).listening[number(*port)] = false,
            Action::Connect { link, address, .. } => self.dial(n, *link, address),
            Action::Send { link, .. } => self.send(n, *link, bytes),
            Action::Close { link, .. } | Action::FourLetter { link, .. } => self.close(n, *link),
            Action::Pause(link) | Action::Resume(link) => {
                let paused = matches!(action, Action::Pause(_));
                let Some((at, e)) = self.find(n, *link) else { return };
                self.conns[at].ends[e].paused = paused;
                let (conn, waiting) = (self.conns[at].id, self.conns[at].ends[e].inbound.len());
                if !paused && self.conns[at].port == Port::Election {
                    self.soon.extend((0..waiting).map(|_| Soon::Arrive { conn, end: e }));
                }
            }
            Action::Disk { lane, ticket, op } => {
                let lane = lane_number(*lane);
                let queued = Queued { ticket: *ticket, op: op.clone(), mark: *mark };
                self.machine(n).lanes[lane].push_back(Rc::new(queued));
                if self.machines[n].lanes[lane].len() == 1 {
                    self.soon.push_back(Soon::Disk { node: n, life, lane });
                }
            }
            Action::Event(event) => self.event(n, event),
            Action::Halt(halt) => self.stop(n, Down::Halt(halt)),
        }
    }

    fn event(&mut self, n: usize, event: &Event) {
        self.say(|| format!("s{} {event:?}", n + 1));
        self.machine(n).note(event);
        if let Event::RoleChanged { role: Role::Recovering, .. } = event {
            // An fsync that was to be chosen is no choice any more.
            let life = self.machines[n].life;
            self.soon.extend((0..2).map(|lane| Soon::Disk { node: n, life, lane }));
        }
        if let Event::SnapshotTaken { zxid, .. } = event {
            self.show_snapshot(n, *zxid);
        }
        self.tell(Obs::Server { node: n, event });
    }

    fn show_snapshot(&mut self, n: usize, zxid: Zxid) {
        let name = FileName::new(Dir::Data, &format!("snapshot.{:x}", zxid.0));
        let machine = self.machines[n].clone();
        if let Some(file) = machine.drive.disk.bytes(&name) {
            self.tell(Obs::Snapshot { node: n, zxid, file });
        }
    }

    /// The process ends. What it had sent and what was on its way to it is lost.
    fn stop(&mut self, n: usize, how: Down<'_>) {
        self.say(|| format!("s{} stops: {how:?}", n + 1));
        self.machine(n).end();
        for i in 0..self.conns.len() {
            for e in 0..2 {
                if self.conns[i].ends[e].node == n {
                    self.conns[i].close(e, true);
                    self.announce(i, 1 - e);
                }
            }
        }
        if self.client.at.is_some_and(|(at, _)| at == n) {
            self.with_client(|client, _, tell| client.lost(tell));
        }
        self.tell(Obs::Stopped { node: n, how });
    }

    /// The fsync at the head of this queue is done. Those that follow it at once are one choice, as long as nobody outside the
    /// server can have seen the end of one: `core/tests/disk` cuts the power between any two of them.
    fn sync(&mut self, n: usize, lane: usize) {
        let life = self.machines[n].life;
        self.seen = None;
        loop {
            self.disk(n, lane);
            self.settle();
            let more = self.violation.is_none() && self.machines[n].life == life && self.waits_for_choice(n, lane);
            if !more || self.seen == Some(n) {
                return;
            }
        }
    }

    fn disk(&mut self, n: usize, lane: usize) {
        let Some(queued) = self.machine(n).lanes[lane].pop_front() else { return };
        let (drive, outcome) = self.memo.borrow_mut().execute(&self.machines[n].drive, &queued.op, queued.mark);
        self.machine(n).drive = drive;
        let life = self.machines[n].life;
        self.say(|| {
            let text = format!("s{} disk {:?}", n + 1, queued.op);
            text.chars().take(160).collect()
        });
        let (result, mark) = &*outcome;
        self.step_marked(n, (Input::Disk { ticket: queued.ticket, result: result.clone() }, *mark));
        if self.machines[n].life == life && !self.machines[n].lanes[lane].is_empty() {
            self.soon.push_back(Soon::Disk { node: n, life, lane });
        }
    }

    /// Whether the head of this queue is done only when that is chosen. A server that recovers talks to nobody: its fsyncs are
    /// done at once.
    fn waits_for_choice(&self, n: usize, lane: usize) -> bool {
        self.machines[n].syncs(lane) && self.machines[n].role != Role::Recovering
    }

    // ----- what is known of it -----------------------------------------------------------------------------------

    fn tell(&mut self, what: Obs<'_>) {
        self.seq += 1;
        if self.trace.is_some()
            && let Obs::Asked { .. } | Obs::Replied { .. } | Obs::Attached { .. } = what
        {
            self.say(|| format!("client {what:?}"));
        }
        if self.violation.is_none()
            && let Err(violation) = self.checks.observe(&Observation { time_ms: self.now, seq: self.seq, what })
        {
            self.violation = Some(violation);
        }
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    /// What has happened since this was asked last, if it was wanted at all.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Tells states apart: by all that is in each server, what the client has been told, what is under way, what the checks remember, and what
    /// is left of the bounds. Two states with one digest go on alike.
    #[must_use]
    pub fn digest(&self) -> u64 {
        debug_assert!(self.soon.is_empty(), "between choices nothing is due");
        let mut mark = Mark::default();
        for machine in &self.machines {
            machine.mark(&mut mark);
        }
        for c in &self.conns {
            for end in &c.ends {
                mark.write_u64(end.node as u64 | u64::from(end.open) << 8 | u64::from(end.paused) << 9);
                mark.write_u64(end.link.0 ^ (number(c.port) as u64) << 48);
                mark.write_usize(end.inbound.len());
                for item in &end.inbound {
                    mark.write(item.as_deref().unwrap_or_default());
                }
            }
        }
        mark.write_i64(self.now);
        mark.write_i64(self.calm_since);
        mark.write_u64(self.client.told.finish());
        for left in [self.left.writes, self.left.crashes, self.left.cuts, self.left.lapses] {
            mark.write_u32(left);
        }
        self.checks.mark(&mut mark);
        mark.finish()
    }
}

fn remote(node: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, node as u8)), 40_000)
}

/// Small files, no snapshots but those that a leader sends, no accidents.
fn spec(bounds: &Bounds, mutant: Option<&str>) -> RunSpec {
    let mut spec = RunSpec { seed: 1, mutant: mutant.map(str::to_owned), ..RunSpec::default() };
    spec.topology.voters = bounds.servers;
    spec.topology.clients = 1;
    spec.timing.session_ms = [1_000_000, 1_000_000];
    spec.timing.snap_count = 1_000;
    spec.timing.window = 100;
    spec.timing.epoch_len = 1_000;
    spec.limits.prealloc = 0;
    spec.limits.purge_ticks = 0;
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its leader pings it, and it answers, for ever: what is under way is no excuse.
    #[test]
    fn a_server_that_never_serves_is_found_although_others_talk() {
        let bounds = Bounds { servers: 3, writes: 0, crashes: 0, cuts: 0, lapses: 0 };
        let mut state = State::start(&bounds, None, false).expect("starts");
        state.machine(0).serves = false;
        let found = (0..10_000).find_map(|n| {
            let choice = *state.choices().first().unwrap_or_else(|| panic!("{n} choices, and it is at rest"));
            state.take(choice).err()
        });
        let found = found.expect("time passes");
        assert_eq!(found.invariant, "L1");
        assert!((60_000..62_000).contains(&(found.at_ms - 1_000)), "{found:?}");
    }
}
