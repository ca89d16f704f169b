//! What goes wrong: faults with a name and an instant, and generators of such faults.
//!
//! A generator only ever makes an [`Explicit`] fault and hands it on, so that what a seed has drawn can be written down and
//! replayed without it. A fault counts when it found something to strike.

mod make;
mod strike;

use quorate_core::error::DiskError;
use quorate_core::event::DiskOp;

use crate::effect::Effect;
use crate::observe::{DiskFault, Obs};
use crate::queue::{Micros, Plan};
use crate::rng::{Purpose, Stream};
use crate::spec::{At, Budget, Explicit, FaultKind, Generator, RunSpec, When};
use crate::world::World;

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
    /// What took effect, in order.
    pub(crate) struck: Vec<Explicit>,
    /// What holds.
    active: Vec<Explicit>,
    next_id: u32,
    /// Servers whose durable bytes may be spoiled.
    rotten: Vec<usize>,
    /// The fault period is over: nothing is generated any more.
    pub(crate) over: bool,
}

impl Plans {
    pub(crate) fn new(spec: &RunSpec) -> Self {
        let mut generators = spec.faults.generate.clone();
        if spec.faults.swarm {
            generators.extend(crate::draw::swarm(spec.seed));
        }
        // Each kind has a stream of its own: one generator more or less changes nothing for the others.
        let sources = generators
            .into_iter()
            .map(|generator| {
                let stream = Stream::new(spec.seed, Purpose::Faults, generator.kind as u64);
                Source { generator, stream }
            })
            .collect();
        let mut voters: Vec<usize> = (0..spec.topology.voters as usize).collect();
        Stream::new(spec.seed, Purpose::Rot, 0).shuffle(&mut voters);
        let rotten = match spec.disk.budget {
            Budget::OneGoodCopy => voters.drain(..(voters.len().saturating_sub(1)) / 2).collect(),
            Budget::Unlimited => voters,
        };
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
            active: Vec::new(),
            next_id: spec.faults.explicit.iter().map(|e| e.id).max().unwrap_or(0) + 1,
            rotten,
            over: false,
        }
    }
}

impl Plans {
    /// The fault period ends: nothing new, and what holds holds for ever.
    pub(crate) fn stop(&mut self) {
        self.over = true;
        self.active.clear();
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
                self.queue.push(at, Plan::Strike(i as u32));
            }
        }
        for i in 0..self.plans.sources.len() {
            self.plan_source(i);
        }
    }

    fn plan_source(&mut self, i: usize) {
        let source = &mut self.plans.sources[i];
        let mean = 3_600_000_000 / source.generator.rate_per_h.max(1);
        let wait = source.stream.exponential(mean).max(1);
        self.queue.push(self.now + wait, Plan::Generate(i as u32));
    }

    /// A generator strikes.
    pub(crate) fn generate(&mut self, i: usize) {
        if self.plans.over {
            return;
        }
        if let Some(mut fault) = self.make(i) {
            fault.id = self.plans.next_id;
            self.plans.next_id += 1;
            self.inject(fault);
        }
        self.plan_source(i);
    }

    /// An explicit fault strikes.
    pub(crate) fn strike(&mut self, i: usize) {
        let fault = self.spec.faults.explicit[i].clone();
        self.inject(fault);
    }

    /// Makes a fault happen; counts it if it found something to strike.
    fn inject(&mut self, fault: Explicit) {
        if !self.apply_fault(&fault) {
            return;
        }
        self.watcher.tell(Obs::Fault(&fault));
        if self.watcher.traces() {
            self.watcher.line(format_args!("##"), format_args!("{}", describe(&fault)));
        }
        for i in 0..self.spec.faults.explicit.len() {
            if let At::After { after, ticks } = self.spec.faults.explicit[i].at
                && after == fault.id
            {
                self.queue.push(self.now + self.ticks(ticks), Plan::Strike(i as u32));
            }
        }
        for i in 0..self.spec.workload.explicit.len() {
            if let At::After { after, ticks } = self.spec.workload.explicit[i].at
                && after == fault.id
            {
                self.queue.push(self.now + self.ticks(ticks), Plan::Operation(i as u32));
            }
        }
        if let Some(hold) = fault.hold_ms {
            self.queue.push(self.now + hold.max(0) as u64 * 1000, Plan::Release(fault.id));
        }
        self.plans.active.push(fault.clone());
        self.plans.struck.push(fault);
    }

    /// Counts an effect and strikes what was aimed at it. `true`: the server's process is gone.
    pub(crate) fn effect(&mut self, n: usize, effect: Effect, when: When) -> bool {
        let node = &mut self.nodes[n];
        if when == When::Before {
            node.effects[effect as usize] += 1;
            node.effects[Effect::Any as usize] += 1;
        }
        if self.plans.triggers.is_empty() && node.doomed.is_none() {
            return false;
        }
        let (counts, life) = (node.effects, node.life);
        if let Some((at, hold)) = node.doomed
            && when == When::After
            && counts[Effect::Any as usize] >= at
        {
            node.doomed = None;
            let at = At::Effect { node: names(&[n]), effect: "any".into(), n: counts[0], when };
            let id = self.plans.next_id;
            self.plans.next_id += 1;
            let node = Some(names(&[n]));
            let hold_ms = Some(hold);
            self.inject(Explicit { id, at, node, hold_ms, ..plain(FaultKind::PowerCut) });
        }
        for i in 0..self.plans.triggers.len() {
            let t = self.plans.triggers[i];
            let hit = t.node == n && t.when == when && (t.effect == effect || t.effect == Effect::Any);
            if hit && counts[t.effect as usize] == t.n {
                self.strike(t.fault);
            }
        }
        self.nodes[n].life != life
    }

    /// Whether a disk operation fails, and how.
    pub(crate) fn disk_failure(&mut self, n: usize, effect: Effect, op: &DiskOp) -> Option<DiskError> {
        let node = &mut self.nodes[n];
        let failing = node.failing.as_mut()?;
        let hit = match failing.effect {
            Some(only) => only == effect,
            None => effect != Effect::Read,
        };
        if !hit || failing.left == 0 {
            return None;
        }
        failing.left -= 1;
        if let DiskOp::Fsync(name) = op
            && node.crash_stream.permille(500)
        {
            let evicted = node.crash_stream.permille(250);
            node.disk.lose_writes(name, evicted);
        }
        self.watcher.tell(Obs::Disk { node: n, fault: DiskFault::Error });
        self.watcher.line(format_args!("s{}", n + 1), format_args!("disk fails at {op:?}"));
        Some(DiskError::Io("injected".into()))
    }
}

/// A fault of this kind, with nothing said about it.
pub(crate) fn plain(kind: FaultKind) -> Explicit {
    Explicit {
        id: 0,
        at: At::Us { us: 0 },
        kind,
        node: None,
        from: None,
        to: None,
        hold_ms: None,
        value: None,
        effect: None,
    }
}

fn describe(fault: &Explicit) -> String {
    let mut text = format!("fault {} {:?}", fault.id, fault.kind);
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
