//! The loop: one queue, one clock, one seed. What a Peer asks for is carried out here, effect by effect.

mod clients;
mod links;
mod visitors;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use quorate_core::config::{Configuration, PeerConfig};
use quorate_core::error::DiskError;
use quorate_core::event::{
    Action, Dir, DiskOp, Event, FileName, Health, Input, Lane as LaneName, Outbox, Payload, Port,
};
use quorate_core::ids::{Ticket, Zxid};
use quorate_core::peer::Peer;

use crate::Options;
use crate::client::Client;
use crate::disk::SimDisk;
use crate::effect::Effect;
use crate::fault::Plans;
use crate::liveness::Progress;
use crate::machine::Process;
use crate::network::{ConnId, Network, Sent};
use crate::node::{self, NEVER, Node};
use crate::observe::{Check, DiskFault, Down, Obs, Outcome, Verdict, Violation};
use crate::platter;
use crate::queue::{Micros, Plan, Queue};
use crate::reach::Recorder;
use crate::report::{Kind, Reporter, Who, Wire};
use crate::spec::{At, ExplicitOp, RunSpec, When};
use crate::watcher::Watcher;
pub(crate) use visitors::Visitor;

/// A server that ended by itself is started again after this.
const RESTART_US: Micros = 500_000;

/// Larger shared bytes are digested once, however many they are sent to: a configuration of a thousand servers goes to all.
const LARGE: usize = 32 << 10;

/// Everything that exists in a run.
pub(crate) struct World<'a> {
    pub(crate) spec: &'a RunSpec,
    pub(crate) ensemble: Arc<Configuration>,
    pub(crate) now: Micros,
    pub(crate) queue: Queue,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Network,
    pub(crate) clients: Vec<Client>,
    pub(crate) watcher: Watcher<'a>,
    pub(crate) plans: Plans,
    pub(crate) progress: Progress,
    /// Servers that clients may attach to.
    pub(crate) attachable: Vec<usize>,
    /// Generated operations left.
    pub(crate) ops_left: u64,
    /// When there were more of them again, and in which tick.
    pub(crate) refilled: (Micros, i64),
    pub(crate) ops: Option<Vec<ExplicitOp>>,
    pub(crate) messages: u64,
    /// Messages that servers got beside their bytes.
    pub(crate) typed: u64,
    pub(crate) client_messages: u64,
    pub(crate) commits: u64,
    /// The counter of the newest epoch is used up, and when a leader last gave up for that.
    pub(crate) exhausted_at: Micros,
    /// When a leader was established last: sessions have their full timeout from then on.
    pub(crate) established_at: Micros,
    pub(crate) terms: u64,
    /// Whose code is running: a panic is its.
    running: Option<usize>,
    pub(crate) over: Option<Verdict>,
    /// A fault has broken what everything rests on.
    pub(crate) outside: bool,
    /// Bytes between servers were changed on the way: what they hear of their own votes from others is no longer their word.
    pub(crate) garbled: bool,
    /// See [`Outcome::widened`].
    pub(crate) widened: bool,
    /// Connections that nobody of this run holds.
    pub(crate) visitors: BTreeMap<ConnId, Visitor>,
    /// What the servers are told instead of what the spec says.
    pub(crate) told: Vec<PeerConfig>,
}

/// Runs `spec`; `check` is told everything.
pub fn run<'a>(spec: &'a RunSpec, check: &'a mut dyn Check, options: Options<'a>) -> Outcome {
    let mut world = World::new(spec, check, options);
    world.prepare();
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    if let Err(panic) = ran {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned());
        let (at_ms, node) = (world.watcher.ms(), world.running);
        world.watcher.violated(Violation { invariant: "panic", at_ms, node, text, earlier: None });
    }
    world.outcome()
}

impl<'a> World<'a> {
    pub(crate) fn new(spec: &'a RunSpec, check: &'a mut dyn Check, options: Options<'a>) -> Self {
        let hosts = spec.servers() + spec.topology.clients as usize;
        let names = |text: &str| crate::fault::hosts(text, spec.servers(), hosts);
        let Options { trace, messages, tail, picture, .. } = options;
        let reporter = Reporter::new(trace, messages, tail, picture, spec.servers());
        let wire = reporter.as_ref().filter(|r| r.wants_messages()).map(|_| Box::new(Wire::new(spec.servers())));
        let mut world = Self {
            spec,
            ensemble: node::ensemble(spec),
            now: 0,
            queue: Queue::default(),
            nodes: (0..spec.servers()).map(|n| Node::new(spec, n)).collect(),
            net: Network::new(&spec.network, spec.seed, &names, wire),
            clients: (0..spec.topology.clients as usize).map(|n| Client::new(spec, n)).collect(),
            watcher: Watcher::new(check, reporter, spec.seed),
            plans: Plans::new(spec),
            progress: Progress::default(),
            attachable: (0..spec.servers().min(spec.topology.attachable as usize)).collect(),
            ops_left: u64::from(spec.workload.generate.ops),
            refilled: (0, 0),
            ops: options.record.then(Vec::new),
            messages: 0,
            typed: 0,
            client_messages: 0,
            commits: 0,
            exhausted_at: 0,
            established_at: 0,
            terms: 0,
            running: None,
            over: None,
            outside: false,
            garbled: false,
            widened: false,
            visitors: BTreeMap::new(),
            told: Vec::new(),
        };
        world.watcher.reach = options.reach.then(|| Recorder::new(spec.servers()));
        world
    }

    /// All machines are switched on.
    pub(crate) fn switch_on(&mut self) {
        for n in 0..self.nodes.len() {
            crate::initial::install(self.spec, n, &mut self.nodes[n].disk);
            self.nodes[n].booting = true;
            // Machines do not start in the same instant.
            let at = self.nodes[n].crash_stream.below(20_000);
            self.queue.push(at, Plan::Boot { node: n as u32, life: 0 });
        }
    }

    fn prepare(&mut self) {
        self.switch_on();
        self.plan_faults();
        for c in 0..self.clients.len() {
            self.plan_client(c);
        }
        for (i, op) in self.spec.workload.explicit.iter().enumerate() {
            match op.at {
                At::Us { us } => self.list_operation(us, op),
                At::Tick { tick } => self.queue.push(self.ticks(tick), Plan::Operation(i as u32)),
                At::Effect { .. } | At::After { .. } => {}
            }
        }
        self.queue.push(self.ticks(self.spec.timing.fault_ticks), Plan::Heal);
    }

    /// So many ticks, µs.
    pub(crate) fn ticks(&self, n: i64) -> Micros {
        u64::try_from(n.saturating_mul(self.spec.timing.tick_ms)).unwrap_or(0).saturating_mul(1000)
    }

    fn run(&mut self) {
        let end = self.ticks(self.spec.timing.max_ticks);
        while self.over.is_none() && self.watcher.violation.is_none() {
            let Some((at, plan)) = self.queue.pop() else { break };
            if at > end {
                self.out_of_time();
                break;
            }
            self.at(at, plan);
        }
    }

    /// What has become of messages since the last call is told.
    pub(crate) fn tell_wire(&mut self) {
        if let (Some(wire), Some(reporter)) = (&mut self.net.messages, &mut self.watcher.reporter)
            && wire.has_news()
        {
            wire.take().iter().for_each(|fact| reporter.fact(fact));
        }
    }

    /// Does what was planned for this instant.
    pub(crate) fn at(&mut self, at: Micros, plan: Plan) {
        self.now = at;
        self.watcher.now = at;
        if let Some(wire) = &mut self.net.messages {
            wire.now = at;
        }
        self.execute(plan);
        self.tell_wire();
    }

    fn execute(&mut self, plan: Plan) {
        match plan {
            Plan::Wake { node, life } => self.wake(node as usize, life),
            Plan::Boot { node, life } => self.boot(node as usize, life),
            Plan::Resume { node, life } => self.resume(node as usize, life),
            Plan::Disk { node, life, lane } => self.disk_done(node as usize, life, usize::from(lane)),
            Plan::Drain { host, life } => self.drain(host as usize, life),
            Plan::Syn(conn) => self.syn(conn),
            Plan::Refuse(conn) => self.refuse(conn),
            Plan::Deliver { conn, dir } => self.deliver(conn, usize::from(dir)),
            Plan::Client { client, turn } => self.client_turn(client as usize, turn),
            Plan::Generate(i) => self.generate(i as usize),
            // Everything is healed when faults end: one that comes later would be one of the healed core.
            Plan::Strike(_) if self.plans.over => {}
            Plan::Strike(i) => self.strike(i as usize),
            Plan::Release(id) => self.release(id),
            Plan::Stage(i) => self.stage(i as usize),
            Plan::Flap { node, on } => self.flap(node as usize, on),
            Plan::Gone(conn) => self.hang_up(conn, 0, true),
            Plan::Operation(i) => self.operation(i as usize),
            Plan::Heal => self.heal(),
            Plan::Judge => self.judge(),
        }
    }

    fn outcome(mut self) -> Outcome {
        let violation = self.watcher.violation.take();
        let verdict = match (&violation, self.over) {
            (_, Some(verdict)) => verdict,
            (Some(_), None) => Verdict::Violation,
            (None, None) => Verdict::Pass,
        };
        for id in std::mem::take(&mut self.net.took) {
            self.plans.took(id);
        }
        self.tell_wire();
        (0..self.nodes.len()).for_each(|n| self.tell_unfinished(n));
        if let Some(reporter) = &mut self.watcher.reporter {
            reporter.took(self.plans.all_took());
        }
        Outcome {
            seed: self.spec.seed,
            verdict,
            digest: self.watcher.digest.value(),
            commits: self.commits,
            leader_changes: self.terms.saturating_sub(1),
            faults_effective: self.plans.count(),
            effective: self.plans.effective(),
            outside: self.outside,
            widened: self.widened,
            messages: self.messages,
            packets: self.nodes.iter().map(Node::packets).sum(),
            typed: self.typed,
            client_messages: self.client_messages,
            replies: self.clients.iter().map(|c| c.replies).sum(),
            end_ms: (self.now / 1000) as i64,
            violation,
            faults: self.plans.struck,
            struck: self.plans.struck_at,
            ops: self.ops.unwrap_or_default(),
            reached: self.watcher.reach.take().map(|r| r.reached),
            tail: self.watcher.take_tail(),
        }
    }

    /// Starts a server's process.
    pub(crate) fn boot(&mut self, n: usize, life: u32) {
        let node = &mut self.nodes[n];
        if node.life != life || node.is_up() || !node.booting {
            return;
        }
        node.booting = false;
        let rebooted = !node.power;
        node.power = true;
        if rebooted {
            node.clock.reboot(self.now);
        }
        let switches = self.nodes[n].features();
        let digests = switches.tree_digest;
        let cfg = node::peer_config(self.spec, &self.ensemble, n, self.nodes[n].identity, life, switches);
        let cfg = match self.told.get(n) {
            Some(told) => {
                let PeerConfig { storage, seed, trace, mutants, .. } = cfg;
                PeerConfig { storage, seed, trace, mutants, ..told.clone() }
            }
            None => cfg,
        };
        let node = &mut self.nodes[n];
        let (now, script) = (node.clock.now(self.now), node.script.take());
        self.watcher.tell(Obs::Started { node: n, digests });
        self.note_wrong();
        self.watcher.digest.number(self.now ^ 0xb007 ^ ((n as u64) << 48));
        self.running = Some(n);
        let mut process = script.map_or_else(|| Process::Server(Box::new(Peer::new(cfg, now))), Process::Script);
        if self.spec.network.typed {
            self.nodes[n].out = Outbox::with_messages();
        }
        process.start(now, &mut self.nodes[n].out);
        self.nodes[n].process = Some(process);
        self.running = None;
        self.carry_out(n);
        self.rearm();
    }

    /// Hands an input to a server and carries out what it wants.
    pub(crate) fn step(&mut self, n: usize, input: Input<'_>) {
        let node = &mut self.nodes[n];
        let Some(process) = &mut node.process else { return };
        let now = node.clock.now(self.now);
        if let Some(slow) = node.slow {
            node.busy_until = node.busy_until.max(self.now) + slow.value;
        }
        self.running = Some(n);
        process.step(now, input, &mut node.out);
        self.running = None;
        self.carry_out(n);
    }

    fn carry_out(&mut self, n: usize) {
        let mut out = std::mem::take(&mut self.nodes[n].out);
        let life = self.nodes[n].life;
        let mut messages = out.messages();
        for action in out.actions() {
            let effect = match action {
                Action::Send { link, payload } => self.nodes[n]
                    .port_of(*link)
                    .map(|port| Effect::of_send(port, if port == Port::Client { out.bytes_of(payload) } else { &[] })),
                action => Effect::of_action(action),
            };
            if effect.is_some_and(|e| self.effect(n, e, When::Before)) {
                break;
            }
            let sent = match action {
                Action::Send { payload, .. } => {
                    let shared = if let Payload::Shared(b) = payload { Some(b) } else { None };
                    let (messages, from) = messages.of(payload);
                    Sent { bytes: out.bytes_of(payload), shared, messages, from }
                }
                _ => Sent::bytes(&[]),
            };
            self.act(n, action, &sent);
            if self.nodes[n].life != life || effect.is_some_and(|e| self.effect(n, e, When::After)) {
                break;
            }
        }
        let node = &mut self.nodes[n];
        if node.life != life {
            return;
        }
        out.clear();
        node.out = out;
        self.show_tree(n);
        self.plan_wake(n);
    }

    /// Lets the checks look at a tree that has moved.
    fn show_tree(&mut self, n: usize) {
        let Some((at, replaced)) = self.nodes[n].moved.take() else { return };
        if let Some(peer) = self.nodes[n].server() {
            self.watcher.tell(Obs::Tree { node: n, tree: peer.tree(), at, replaced });
        }
    }

    /// Lets the checks read a snapshot that was finished.
    fn show_snapshot(&mut self, n: usize, zxid: Zxid) {
        let name = FileName::new(Dir::Data, &format!("snapshot.{:x}", zxid.0));
        if let Some(file) = self.nodes[n].disk.bytes(&name) {
            self.watcher.tell(Obs::Snapshot { node: n, zxid, file });
        }
    }

    /// Plans the next tick of a server.
    pub(crate) fn plan_wake(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(deadline) = node.process.as_ref().and_then(Process::next_deadline) else { return };
        let mut at = node.clock.when(self.now, deadline).max(self.now + 50);
        if let Some(late) = node.late {
            at = at.div_ceil(late.value) * late.value;
        }
        if at < node.wake_at && !node.paused {
            node.wake_at = at;
            let life = node.life;
            if self.effect(n, Effect::SetTimer, When::Before) {
                return;
            }
            self.queue.push(at, Plan::Wake { node: n as u32, life });
            self.effect(n, Effect::SetTimer, When::After);
        }
    }

    fn wake(&mut self, n: usize, life: u32) {
        let node = &mut self.nodes[n];
        if node.life != life || node.wake_at != self.now {
            return;
        }
        node.wake_at = NEVER;
        if node.paused {
            return;
        }
        if let Some(slow) = node.slow
            && node.busy_until > self.now
        {
            node.wake_at = node.busy_until;
            self.queue.push(node.busy_until, Plan::Wake { node: n as u32, life });
            self.plans.took(slow.by);
            return;
        }
        if let Some(late) = node.late {
            self.plans.took(late.by);
        }
        let due = node.process.as_ref().and_then(Process::next_deadline);
        if due.is_some_and(|ms| ms <= node.clock.now(self.now).mono_ms) {
            self.watcher.digest.number(self.now ^ ((n as u64) << 48));
            self.step(n, Input::Tick);
        } else {
            self.plan_wake(n);
        }
    }

    fn act(&mut self, n: usize, action: &Action, sent: &Sent<'_>) {
        let digest = &mut self.watcher.digest;
        digest.number(self.now ^ ((n as u64) << 48));
        match action {
            Action::Listen(port) => self.nodes[n].listen(*port, true),
            Action::Unlisten(port) => self.nodes[n].listen(*port, false),
            Action::Connect { link, port, address } => {
                digest.number(link.0);
                self.dial(n, *link, *port, address);
            }
            Action::Send { link, .. } => {
                digest.number(link.0);
                match sent.shared {
                    Some(b) if b.len() > LARGE => digest.number(self.nodes[n].hash_of(b)),
                    _ => digest.bytes(sent.bytes),
                }
                self.send(n, *link, sent);
            }
            Action::Close { link, why } => {
                digest.number(link.0 ^ 1);
                if let Some(reporter) = &mut self.watcher.reporter {
                    let who = Who::Server(n as u32);
                    reporter.note(self.now, who, Kind::Closed, [0; 4], format_args!("closes a connection: {why}"));
                }
                self.close(n, *link);
            }
            Action::FourLetter { link, .. } => self.close(n, *link),
            Action::Pause(link) => self.read(n, *link, false),
            Action::Resume(link) => self.read(n, *link, true),
            Action::Disk { lane, ticket, op } => {
                digest.number(ticket.0 ^ 2);
                self.queue_disk(n, *lane, *ticket, op.clone());
            }
            Action::Event(event) => self.event(n, event),
            Action::Halt(halt) => {
                let again = self.nodes[n].server().is_some();
                self.stop(n, Down::Halt(halt));
                if again {
                    self.boot_after(n, RESTART_US);
                }
            }
        }
    }

    fn event(&mut self, n: usize, event: &Event) {
        match event {
            Event::Decided(_) => self.commits += 1,
            Event::Proposed { zxid, .. } if zxid.counter() == node::epoch_len(self.spec) => {
                self.exhausted_at = self.now;
            }
            Event::Established { .. } => {
                self.terms += 1;
                self.established_at = self.now;
            }
            // The record has what the files said; what rots now stands alone again.
            Event::Recovered { last_logged, .. } => {
                self.nodes[n].rotten_epoch = None;
                self.nodes[n].durable = *last_logged;
            }
            Event::NewLeaderAcked { .. } => self.nodes[n].wiped = false,
            Event::Durable(zxid) => self.nodes[n].durable = *zxid,
            Event::Applied { zxid, .. } => {
                let replaced = self.nodes[n].moved.is_some_and(|(_, replaced)| replaced);
                self.nodes[n].moved = Some((*zxid, replaced));
            }
            Event::TreeReplaced { zxid, .. } => self.nodes[n].moved = Some((*zxid, true)),
            Event::SnapshotTaken { zxid, .. } => self.show_snapshot(n, *zxid),
            _ => {}
        }
        self.watcher.tell(Obs::Server { node: n, event });
        let node = &mut self.nodes[n];
        if let Some(lacks) = node.platter.lacks(event, &node.disk) {
            self.watcher.tell(Obs::Unkept { node: n, invariant: "Z13", event, lacks: &lacks });
        }
        let disk = &self.nodes[n].disk;
        if matches!(event, Event::Recovered { health: Health::Intact, .. }) && disk.is_sound() {
            if let Some(hole) = platter::hole(disk) {
                self.watcher.tell(Obs::Unkept { node: n, invariant: "Z14", event, lacks: &hole });
            }
            self.watcher.tell(Obs::Mended { node: n });
        }
    }

    /// Disk operations under way will not come to an end: what is seen of them is told.
    fn tell_unfinished(&mut self, n: usize) {
        let Some(reporter) = &mut self.watcher.reporter else { return };
        for lane in &self.nodes[n].lanes {
            if let (Some(_), Some((_, op))) = (lane.due, lane.ops.front()) {
                reporter.disk_cut(self.now, lane.began, n, op);
            }
        }
    }

    /// A server's process ends. A [`Plan::Boot`] is the caller's.
    pub(crate) fn stop(&mut self, n: usize, how: Down<'_>) {
        let node = &mut self.nodes[n];
        if !node.is_up() {
            return;
        }
        self.tell_unfinished(n);
        let node = &mut self.nodes[n];
        self.watcher.digest.number(self.now ^ 0xdead ^ ((n as u64) << 48));
        let held = node.end();
        node.right_clock(self.now);
        let cut = how == Down::PowerCut;
        // A machine without power says nothing: some peers learn it at once (a switch resets), some by waiting.
        let silent = cut && node.crash_stream.permille(500);
        if cut {
            node.power = !silent;
            let (lied, by) = (node.disk.has_lied(), node.lying_by);
            let survived = node.disk.power_cut(&mut node.crash_stream);
            if let Some(reporter) = &mut self.watcher.reporter {
                let numbers = [survived.at_stake as i64, survived.kept as i64, i64::from(!survived.torn.is_empty()), 0];
                reporter.note(self.now, Who::Server(n as u32), Kind::Survived, numbers, format_args!("{survived}"));
            }
            if lied {
                self.plans.took(by);
                self.outside("an fsync was a lie, and the power went");
            }
        }
        for (conn, side) in held {
            if cut {
                let under_way = self.net.under_way(conn, side);
                let keep = self.nodes[n].crash_stream.below(under_way + 1);
                self.net.cut(conn, side, keep);
            }
            self.hang_up(conn, side, !silent);
        }
        self.watcher.tell(Obs::Stopped { node: n, how });
        self.note_wrong();
    }

    /// Plans the start of a server that is down.
    pub(crate) fn boot_after(&mut self, n: usize, us: Micros) {
        let node = &mut self.nodes[n];
        if !node.is_up() {
            node.booting = true;
            self.queue.push(self.now + us, Plan::Boot { node: n as u32, life: node.life });
        }
    }

    fn queue_disk(&mut self, n: usize, lane: LaneName, ticket: Ticket, op: DiskOp) {
        let lane = usize::from(lane == LaneName::Bulk);
        let node = &mut self.nodes[n];
        node.lanes[lane].ops.push_back((ticket, op));
        if node.lanes[lane].due.is_none() {
            self.begin_disk(n, lane);
        }
    }

    /// The first operation of a lane begins.
    pub(crate) fn begin_disk(&mut self, n: usize, lane: usize) {
        let spec = &self.spec.disk;
        let node = &mut self.nodes[n];
        let Some((_, op)) = node.lanes[lane].ops.front() else {
            node.lanes[lane].due = None;
            return;
        };
        let dist = if matches!(op, DiskOp::Fsync(_) | DiskOp::FsyncDir(_)) { &spec.fsync } else { &spec.write };
        let slow = node.slow_disk;
        let takes = node.disk_stream.draw(dist).saturating_mul(slow.map_or(1, |s| s.value));
        let due = self.now.saturating_add(takes).min(NEVER - 1);
        node.lanes[lane].due = Some(due);
        node.lanes[lane].began = self.now;
        node.lanes[lane].slow = slow.is_some();
        if let Some(slow) = slow {
            self.plans.took(slow.by);
        }
        self.queue.push(due, Plan::Disk { node: n as u32, life: node.life, lane: lane as u8 });
    }

    fn disk_done(&mut self, n: usize, life: u32, lane: usize) {
        let node = &mut self.nodes[n];
        if node.life != life || node.lanes[lane].due != Some(self.now) {
            return;
        }
        if node.paused {
            node.lanes[lane].due = Some(NEVER);
            return;
        }
        if let Some(slow) = node.slow
            && node.busy_until > self.now
        {
            node.lanes[lane].due = Some(node.busy_until);
            self.queue.push(node.busy_until, Plan::Disk { node: n as u32, life, lane: lane as u8 });
            self.plans.took(slow.by);
            return;
        }
        let Some((ticket, op)) = node.lanes[lane].ops.pop_front() else { return };
        let began = node.lanes[lane].began;
        let effect = Effect::of_disk(&op);
        if self.effect(n, effect, When::Before) {
            return;
        }
        // Purging syncs directories too, on the other lane, and nothing rests on it.
        let log = lane == 0 && SimDisk::is_log_path(&op);
        let failure = self.disk_failure(n, (effect, log), &op);
        let node = &mut self.nodes[n];
        let result = failure.map_or_else(|| node.disk.execute(&op), Err);
        node.unremoved += usize::from(matches!((&op, &result), (DiskOp::Unlink(_), Err(DiskError::Io(_)))));
        for by in std::mem::take(&mut node.disk.met) {
            self.plans.took(by);
        }
        if result == Err(DiskError::Full) {
            self.plans.took(self.nodes[n].full_by);
            self.watcher.tell(Obs::Disk { node: n, fault: DiskFault::Full, log });
        }
        if result.is_ok() {
            self.nodes[n].platter.done(&op);
        }
        if let (DiskOp::Unlink(name), Ok(_)) = (&op, &result) {
            self.watcher.tell(Obs::Unlinked { node: n, name, disk: &self.nodes[n].disk });
        }
        if let Some(reporter) = &mut self.watcher.reporter {
            reporter.disk(self.now, began, n, &op, result.as_ref().err());
        }
        if self.effect(n, effect, When::After) {
            return;
        }
        self.begin_disk(n, lane);
        self.watcher.digest.number(self.now ^ ticket.0 ^ ((n as u64) << 48));
        self.step(n, Input::Disk { ticket, result });
    }

    /// Ends the run with what is owed.
    pub(crate) fn fail(&mut self, verdict: Verdict, violation: Violation) {
        self.watcher.violated(violation);
        self.over = Some(verdict);
    }
}
