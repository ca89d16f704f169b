//! What goes wrong: faults with a name and an instant, and generators of such faults.
//!
//! A generator only ever makes an [`Explicit`] fault and hands it on, so that what a seed has drawn can be written down and
//! replayed without it. A fault counts when it found something to strike.

mod budget;
mod double;
mod make;
mod schedule;
mod storage;
mod strike;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::error::DiskError;
use quorate_core::event::DiskOp;

use crate::effect::Effect;
use crate::node::Node;
use crate::observe::{DiskFault, Obs, Struck};
use crate::queue::{Micros, Plan};
use crate::reach::Wrong;
use crate::rng::{Purpose, Stream};
use crate::spec::{At, Explicit, FaultKind, Generator, RunSpec, When};
use crate::world::World;
use budget::Allowed;
use schedule::Running;

pub(crate) use double::TWO_OF_ONE;
pub(crate) use schedule::Doom;
pub(crate) use wire::NETWORK;

/// A fault aimed at an effect.
#[derive(Clone, Copy, Debug)]
struct Trigger {
    node: usize,
    effect: Effect,
    n: u64,
    when: When,
    fault: usize,
}

/// A generator at work.
#[derive(Debug)]
struct Source {
    generator: Generator,
    stream: Stream,
}

/// All faults of a run.
#[derive(Debug)]
pub(crate) struct Plans {
    sources: Vec<Source>,
    triggers: Vec<Trigger>,
    /// What was injected, in order.
    pub(crate) struck: Vec<Explicit>,
    /// When, by id; only where the run is recorded.
    pub(crate) struck_at: BTreeMap<u32, Struck>,
    /// Which of that changed something that would have happened.
    took: BTreeSet<u32>,
    /// Schedules that began, by name.
    begun: BTreeMap<&'static str, u64>,
    /// What holds.
    active: Vec<Explicit>,
    /// Schedules under way.
    running: Vec<Running>,
    next_id: u32,
    /// Whose durable bytes may be spoiled.
    allowed: Allowed,
    /// The fault period is over: nothing is generated any more.
    pub(crate) over: bool,
}

impl Plans {
    pub(crate) fn new(spec: &RunSpec) -> Self {
        let mut generators = spec.faults.generate.clone();
        if spec.faults.swarm {
            generators.extend(crate::draw::swarm(spec));
        }
        // Each has a stream of its own: one generator more or less changes nothing for the others.
        let mut same: BTreeMap<String, u64> = BTreeMap::new();
        let sources = generators
            .into_iter()
            .map(|generator| {
                let name = crate::draw::generator_name(&generator);
                let number = crate::draw::number_of(&name);
                let again = same.entry(name).or_default();
                let stream = Stream::new(spec.seed, Purpose::Faults, number ^ *again);
                *again += 1;
                Source { generator, stream }
            })
            .collect();
        let triggers = spec.faults.explicit.iter().enumerate().filter_map(|(fault, e)| match &e.at {
            At::Effect { node, effect, n, when } => {
                Some(Trigger { node: server(node)?, effect: Effect::by_name(effect)?, n: *n, when: *when, fault })
            }
            _ => None,
        });
        Self {
            sources,
            triggers: triggers.collect(),
            struck: Vec::new(),
            struck_at: BTreeMap::new(),
            took: BTreeSet::new(),
            begun: BTreeMap::new(),
            active: Vec::new(),
            running: Vec::new(),
            next_id: spec.faults.explicit.iter().map(|e| e.id).max().unwrap_or(0) + 1,
            allowed: Allowed::new(spec),
            over: false,
        }
    }

    /// This fault changed something that would have happened.
    pub(crate) fn took(&mut self, id: u32) {
        self.took.insert(id);
    }

    /// All that did.
    pub(crate) fn all_took(&self) -> impl Iterator<Item = u32> {
        self.took.iter().copied()
    }

    /// How many took effect, by kind; schedules by name.
    pub(crate) fn effective(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.begun.clone();
        for fault in self.struck.iter().filter(|f| self.took.contains(&f.id)) {
            *counts.entry(fault.kind.name()).or_default() += 1;
        }
        counts
    }

    /// How many took effect.
    pub(crate) fn count(&self) -> u64 {
        self.struck.iter().filter(|f| self.took.contains(&f.id)).count() as u64
    }
}

impl Plans {
    /// The fault period ends: nothing new, and what holds holds for ever.
    pub(crate) fn stop(&mut self) {
        self.over = true;
        self.active.clear();
        self.running.clear();
    }
}

/// Number of the server with this name.
pub(crate) fn server(name: &str) -> Option<usize> {
    name.strip_prefix('s')?.parse::<usize>().ok()?.checked_sub(1)
}

/// Which hosts a text names: servers `s1`…, clients `c1`…, `*` everybody; commas between.
pub(crate) fn hosts(text: &str, servers: usize, all: usize) -> Vec<bool> {
    let mut set = vec![false; all];
    for name in text.split(',') {
        if name == "*" {
            return vec![true; all];
        }
        let client = || name.strip_prefix('c')?.parse::<usize>().ok()?.checked_sub(1).map(|c| servers + c);
        if let Some(slot) = server(name).or_else(client).and_then(|i| set.get_mut(i)) {
            *slot = true;
        }
    }
    set
}

/// The text for these servers.
pub(crate) fn names(list: &[usize]) -> String {
    list.iter().map(|n| crate::node::host_name(*n)).collect::<Vec<_>>().join(",")
}

impl World<'_> {
    /// The virtual time of an instant that is known beforehand.
    pub(crate) fn instant(&self, at: &At) -> Option<Micros> {
        match at {
            At::Tick { tick } => Some(self.ticks(*tick)),
            At::Us { us } => Some(*us),
            At::Effect { .. } | At::After { .. } => None,
        }
    }

    /// Plans what is planned from the start.
    pub(crate) fn plan_faults(&mut self) {
        for i in 0..self.spec.faults.explicit.len() {
            if let Some(at) = self.instant(&self.spec.faults.explicit[i].at) {
                self.queue.push_first(at, Plan::Strike(i as u32));
            }
        }
        for i in 0..self.plans.sources.len() {
            if self.plans.sources[i].generator.schedule.is_some_and(schedule::is_once) {
                self.queue.push_first(0, Plan::Generate(i as u32));
            } else {
                self.plan_source(i);
            }
        }
    }

    fn plan_source(&mut self, i: usize) {
        let source = &mut self.plans.sources[i];
        let mean = 3_600_000_000 / source.generator.rate_per_h.max(1);
        let wait = source.stream.exponential(mean).max(1);
        self.queue.push_first(self.now + wait, Plan::Generate(i as u32));
    }

    /// A generator strikes.
    pub(crate) fn generate(&mut self, i: usize) {
        if self.plans.over {
            return;
        }
        if let Some(fault) = self.make(i) {
            self.strike_now(fault);
        }
        if !self.plans.sources[i].generator.schedule.is_some_and(schedule::is_once) {
            self.plan_source(i);
        }
    }

    /// A fault that was made in this instant strikes, under a new id.
    fn strike_now(&mut self, mut fault: Explicit) {
        fault.id = self.plans.next_id;
        fault.at = At::Us { us: self.now };
        self.plans.next_id += 1;
        self.inject(fault);
    }

    /// An explicit fault strikes.
    pub(crate) fn strike(&mut self, i: usize) {
        let fault = self.spec.faults.explicit[i].clone();
        self.inject(fault);
    }

    /// Makes a fault happen, or begins what leads to single ones; reports it if it found something to strike.
    fn inject(&mut self, fault: Explicit) {
        if fault.kind == FaultKind::Schedule {
            self.begin(&fault);
            return self.follow(fault.id);
        }
        if self.is_aimed(&fault) {
            return self.follow(fault.id);
        }
        if self.ops.is_some() {
            let effects = self.nodes.iter().map(|node| node.effects).collect();
            self.plans.struck_at.insert(fault.id, Struck { us: self.now, effects });
        }
        if !self.apply_fault(&fault) {
            return;
        }
        if strike::at_once(fault.kind) {
            self.plans.took(fault.id);
        }
        self.watcher.tell(Obs::Fault(&fault));
        self.follow(fault.id);
        if let Some(hold) = fault.hold_ms {
            self.queue.push(self.now + hold.max(0) as u64 * 1000, Plan::Release(fault.id));
        }
        self.plans.active.push(fault.clone());
        // What it came after need not be in the list that is made of what struck.
        let at = if matches!(fault.at, At::After { .. }) { At::Us { us: self.now } } else { fault.at.clone() };
        self.plans.struck.push(Explicit { at, ..fault });
        self.note_wrong();
    }

    /// What was to come after this fault is planned.
    fn follow(&mut self, id: u32) {
        for i in 0..self.spec.faults.explicit.len() {
            if let At::After { after, ticks } = self.spec.faults.explicit[i].at
                && after == id
            {
                self.queue.push_first(self.now + self.ticks(ticks), Plan::Strike(i as u32));
            }
        }
        for i in 0..self.spec.workload.explicit.len() {
            if let At::After { after, ticks } = self.spec.workload.explicit[i].at
                && after == id
            {
                self.queue.push(self.now + self.ticks(ticks), Plan::Operation(i as u32));
            }
        }
    }

    /// Tells the record of what is reached which faults hold.
    pub(crate) fn note_wrong(&mut self) {
        let Some(reach) = &mut self.watcher.reach else { return };
        let (servers, all) = (self.nodes.len(), self.nodes.len() + self.clients.len());
        let still = |n: &Node| !n.is_up() || n.paused;
        let count = self.nodes.iter().filter(|n| still(n)).count();
        let others = self.nodes.iter().map(|n| count > usize::from(still(n)));
        let mut wrong: Vec<Wrong> = others.map(|others| Wrong { others, ..Wrong::default() }).collect();
        // Without a hold it is over in the instant in which it strikes.
        for fault in self.plans.active.iter().filter(|f| f.hold_ms.is_some()) {
            if let Some(wrong) = fault.node.as_deref().and_then(server).and_then(|n| wrong.get_mut(n)) {
                wrong.machine = true;
            }
            for text in fault.from.iter().chain(&fault.to) {
                let named = hosts(text, servers, all);
                wrong.iter_mut().zip(named).for_each(|(wrong, named)| wrong.network |= named);
            }
        }
        reach.wrong(&wrong);
    }

    /// Counts an effect and strikes what was aimed at it. `true`: the server's process is gone.
    pub(crate) fn effect(&mut self, n: usize, effect: Effect, when: When) -> bool {
        let node = &mut self.nodes[n];
        let wider = effect.wider();
        if when == When::Before {
            if let Some(reach) = &mut self.watcher.reach {
                reach.effect(n, effect);
            }
            node.effects[effect as usize] += 1;
            if wider != effect {
                node.effects[wider as usize] += 1;
            }
            node.effects[Effect::Any as usize] += u64::from(effect != Effect::SetTimer);
        }
        // Who was healed is left alone from then on; what is outside the core was promised nothing.
        let healed = self.plans.over && self.net.core.get(n).copied().unwrap_or(false);
        if healed || (self.plans.triggers.is_empty() && node.doomed.is_none()) {
            return false;
        }
        let (counts, life) = (node.effects, node.life);
        self.doom(n, effect, when);
        for i in 0..self.plans.triggers.len() {
            let t = self.plans.triggers[i];
            let fits = t.effect == effect || t.effect == wider || t.effect == Effect::Any;
            if t.node == n && t.when == when && fits && counts[t.effect as usize] == t.n && self.nodes[n].life == life {
                self.strike(t.fault);
            }
        }
        self.nodes[n].life != life
    }

    /// Whether a disk operation fails, and how. `what`: its kind, and whether promises rest on it.
    pub(crate) fn disk_failure(&mut self, n: usize, what: (Effect, bool), op: &DiskOp) -> Option<DiskError> {
        let (effect, log) = what;
        let node = &mut self.nodes[n];
        let failing = node.failing.as_mut()?;
        let hit = match failing.effect {
            Some(only) => only == effect || only == effect.wider(),
            None => effect != Effect::Read,
        };
        if !hit || failing.left == 0 {
            return None;
        }
        failing.left -= 1;
        self.plans.took(failing.by);
        if let DiskOp::Fsync(name) = op
            && node.crash_stream.permille(500)
        {
            let evicted = node.crash_stream.permille(250);
            node.disk.lose_writes(name, evicted);
        }
        self.watcher.tell(Obs::Disk { node: n, fault: DiskFault::Error, log });
        Some(DiskError::Io("injected".into()))
    }
}

/// A fault in words.
pub(crate) fn describe(fault: &Explicit) -> String {
    let mut text = format!("fault {} {}", fault.id, fault.kind.name());
    let parts = [("on", &fault.node), ("from", &fault.from), ("to", &fault.to), ("effect", &fault.effect)];
    for (word, value) in parts {
        if let Some(value) = value {
            text += &format!(" {word} {value}");
        }
    }
    if let Some(ms) = fault.hold_ms {
        text += &format!(" for {ms} ms");
    }
    if let Some(value) = fault.value {
        text += &format!(" value {value}");
    }
    text
}
