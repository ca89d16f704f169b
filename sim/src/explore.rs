//! Exploration: runs that reached what few have reached are kept, and changed ones are run in place of fresh seeds.
//!
//! A change keeps what a run was told and draws the rest anew: from an instant on (the beginning is the same, the rest another), or
//! as a whole with the same sizes and generators, with some of them changed or taken from another kept run, or with the faults that
//! took place moved, dropped or mixed. Every changed run is a [`RunSpec`] of its own and replays without the others.

use crate::draw;
use crate::observe::Outcome;
use crate::reach::{Reached, coarse};
use crate::rng::{Purpose, Stream};
use crate::spec::{At, Branch, Explicit, FaultKind, Generator, RunSpec, Target};

/// How runs are made.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Fresh seeds, of a thousand.
    pub fresh: u64,
    /// Branches, of a thousand of the others.
    pub branch: u64,
    /// The same sizes and generators under another seed.
    pub again: u64,
    /// Some of them changed; what is left are faults that are moved.
    pub change: u64,
    /// Faults and events beside the protocol make no difference.
    pub coarse: bool,
}

/// Runs before anything is changed.
const FIRST: usize = 20;
/// Kept runs at most.
const KEPT: usize = 400;

/// A run that reached something new.
#[derive(Debug)]
struct Kept {
    spec: RunSpec,
    faults: Vec<Explicit>,
    first: Vec<(u32, u64)>,
    used: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Explorer {
    mix: Mix,
    stream: Stream,
    next_seed: u64,
    kept: Vec<Kept>,
    /// In how many runs each tuple was reached.
    hits: Vec<u32>,
    /// Everything that was reached.
    pub reached: Reached,
    runs: u64,
    messages: u64,
    /// How the last run was made.
    pub way: usize,
}

impl Explorer {
    /// Fresh seeds begin with `base`; it decides everything else too.
    #[must_use]
    pub fn new(base: u64, mix: Mix) -> Self {
        let (stream, hits) = (Stream::new(base, Purpose::Explore, 0), vec![0; Reached::NUMBERS]);
        Self {
            mix,
            stream,
            next_seed: base,
            kept: Vec::new(),
            hits,
            reached: Reached::default(),
            way: 0,
            runs: 0,
            messages: 0,
        }
    }

    /// The next run.
    pub fn next(&mut self) -> RunSpec {
        if self.kept.len() < FIRST || self.stream.permille(self.mix.fresh) {
            self.next_seed += 1;
            self.way = 0;
            return RunSpec::seeded(self.next_seed - 1);
        }
        let i = self.choose();
        self.kept[i].used += 1;
        let rarest = self.rarest(i);
        let (s, kept) = (&mut self.stream, &self.kept[i]);
        let kind = s.below(1000);
        let Mix { branch, again, change, .. } = self.mix;
        let end = u64::try_from(kept.spec.timing.fault_ticks * kept.spec.timing.tick_ms).unwrap_or(0) * 1000;
        let mut spec = kept.spec.clone();
        spec.checks.twice = false;
        if kind < branch && rarest < end {
            // A little earlier, so that the way there may differ in its last steps.
            let back = s.log_between(1, 2_000_000);
            let us = if s.permille(500) { rarest } else { rarest.saturating_sub(back) };
            spec.faults.branches.retain(|b| b.us < us);
            self.way = 1;
            spec.faults.branches.push(Branch { us, seed: s.any() });
            return spec;
        }
        spec.faults.branches.clear();
        if kind < branch + again + change {
            written_out(&mut spec);
            spec.seed = s.any();
            if kind >= branch + again {
                let other = s.index(self.kept.len());
                self.change(&mut spec, other);
                self.way = 3;
            } else {
                self.way = 2;
            }
            return spec;
        }
        written_out(&mut spec);
        spec.faults.generate.clear();
        spec.faults.explicit.clone_from(&kept.faults);
        let other = s.index(self.kept.len());
        let theirs = self.kept[other].faults.clone();
        self.stir(&mut spec, &theirs);
        self.way = 4;
        spec
    }

    /// Takes in what came out of a run; returns how many tuples were new.
    pub fn learn(&mut self, spec: RunSpec, outcome: &Outcome) -> u64 {
        let Some(reached) = &outcome.reached else { return 0 };
        self.reached.add(reached);
        let mut first = reached.first.clone();
        if self.mix.coarse {
            first = first.into_iter().filter_map(|(t, us)| Some((coarse(t)?, us))).collect();
            first.sort_unstable();
            first.dedup_by_key(|(t, _)| *t);
        }
        let mut new = 0;
        for (tuple, _) in &first {
            new += u64::from(self.hits[*tuple as usize] == 0);
            self.hits[*tuple as usize] += 1;
        }
        // What its changed runs will cost is known from its own messages.
        let cost = outcome.messages + outcome.client_messages;
        self.runs += 1;
        self.messages += cost;
        if new > 0 && cost * self.runs < 2 * self.messages {
            let faults = outcome.faults.clone();
            if self.kept.len() == KEPT {
                let most = (0..KEPT).max_by_key(|i| self.kept[*i].used).unwrap_or(0);
                self.kept.swap_remove(most);
            }
            self.kept.push(Kept { spec, faults, first, used: 0 });
        }
        new
    }

    fn rarity(&self, i: usize) -> u32 {
        self.kept[i].first.iter().map(|(t, _)| self.hits[*t as usize]).min().unwrap_or(u32::MAX)
    }

    /// When this run came to one of its rarest tuples, µs.
    fn rarest(&mut self, i: usize) -> u64 {
        let least = self.rarity(i);
        let rare = self.kept[i].first.iter().filter(|(t, _)| self.hits[*t as usize] <= least.saturating_add(1));
        let times: Vec<u64> = rare.map(|(_, us)| *us).collect();
        self.stream.pick(&times).unwrap_or(0)
    }

    /// Of a few kept runs the one with the rarest tuple that was least used.
    fn choose(&mut self) -> usize {
        let mut best = (u64::MAX, 0);
        for _ in 0..6 {
            let i = self.stream.index(self.kept.len());
            let score = u64::from(self.rarity(i)) * u64::from(1 + self.kept[i].used);
            best = best.min((score, i));
        }
        best.1
    }

    /// Changes sizes and generators.
    fn change(&mut self, spec: &mut RunSpec, other: usize) {
        let s = &mut self.stream;
        let fresh = RunSpec::seeded(s.any());
        for _ in 0..s.between(1, 4) {
            let from = if s.permille(500) { &fresh } else { &self.kept[other].spec };
            let generators = &mut spec.faults.generate;
            match s.below(9) {
                0 => spec.limits = from.limits.clone(),
                1 => spec.network = from.network.clone(),
                2 => spec.disk.clone_from(&from.disk),
                3 => spec.timing = from.timing.clone(),
                4 => spec.workload = from.workload.clone(),
                5 if !generators.is_empty() => {
                    generators.remove(s.index(generators.len()));
                }
                6 if !generators.is_empty() => {
                    let i = s.index(generators.len());
                    let rate = &mut generators[i].rate_per_h;
                    *rate = if s.permille(600) { (*rate * s.between(2, 6)).min(7200) } else { (*rate / 3).max(1) };
                }
                7 if !generators.is_empty() => {
                    let i = s.index(generators.len());
                    generators[i].on = [Target::Servers, Target::Leader, Target::Voters][s.index(3)];
                }
                _ => {
                    let mut list: Vec<Generator> = from.faults.generate.clone();
                    if from.faults.swarm {
                        list.extend(draw::swarm(from));
                    }
                    if !list.is_empty() {
                        let one = list.swap_remove(s.index(list.len()));
                        if !spec.faults.generate.contains(&one) {
                            spec.faults.generate.push(one);
                        }
                    }
                }
            }
        }
        written_out(spec);
    }

    /// Moves, drops, repeats and mixes faults.
    fn stir(&mut self, spec: &mut RunSpec, theirs: &[Explicit]) {
        let s = &mut self.stream;
        let list = &mut spec.faults.explicit;
        let end = u64::try_from(spec.timing.fault_ticks * spec.timing.tick_ms).unwrap_or(1) * 1000;
        for _ in 0..s.between(1, 6) {
            let next = list.iter().map(|f| f.id).max().unwrap_or(0) + 1;
            let kind = s.below(6);
            if kind == 5 || list.is_empty() {
                let us = s.below(end);
                let fits: Vec<&Explicit> = theirs
                    .iter()
                    .filter(|f| moves(f) && matches!(f.at, At::Us { us: at } if at >= us && at < end))
                    .take(4)
                    .collect();
                for (i, f) in fits.into_iter().enumerate() {
                    list.push(Explicit { id: next + i as u32, ..f.clone() });
                }
                continue;
            }
            let i = s.index(list.len());
            if !moves(&list[i]) {
                continue;
            }
            match kind {
                0 => {
                    list.remove(i);
                }
                1 | 2 => {
                    let by = s.log_between(1000, 4_000_000);
                    let later = s.permille(500);
                    match &mut list[i].at {
                        At::Us { us } => *us = if later { *us + by } else { us.saturating_sub(by) },
                        At::Effect { n, .. } => {
                            let by = s.log_between(1, 64);
                            *n = if later { *n + by } else { n.saturating_sub(by).max(1) };
                        }
                        _ => {}
                    }
                }
                3 => {
                    let hold = list[i].hold_ms.unwrap_or(1000).max(1) as u64;
                    list[i].hold_ms = Some(s.between(1, hold * 3) as i64);
                }
                _ => {
                    let mut again = Explicit { id: next, ..list[i].clone() };
                    if let At::Us { us } = &mut again.at {
                        *us = s.below(end);
                    }
                    list.push(again);
                }
            }
        }
        let all = spec.servers();
        let clients = spec.topology.clients as usize;
        spec.faults.explicit.retain(|f| fits(f, all, clients));
    }
}

/// What may be anywhere: spoiled disks were counted against what must survive.
const fn moves(f: &Explicit) -> bool {
    use FaultKind as K;
    !matches!(
        f.kind,
        K::BitRot
            | K::Wipe
            | K::LatentError
            | K::Misdirected
            | K::StaleRead
            | K::LoseSnapshots
            | K::Restore
            | K::Backup
    )
}

/// Whether everybody that a fault names is there.
fn fits(f: &Explicit, servers: usize, clients: usize) -> bool {
    let known = |name: &str| {
        let number = name.get(1..).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        name == "*" || (number > 0 && number <= if name.starts_with('c') { clients } else { servers })
    };
    let aimed = if let At::Effect { node, .. } = &f.at { known(node) } else { true };
    aimed && [&f.node, &f.from, &f.to].into_iter().flatten().all(|text| text.split(',').all(known))
}

/// Writes down what the seed draws of generators and sizes, so that another seed keeps them.
fn written_out(spec: &mut RunSpec) {
    let seed = spec.seed;
    if spec.faults.swarm {
        let drawn = draw::swarm(spec);
        spec.faults.generate.extend(drawn);
        spec.faults.swarm = false;
    }
    let t = &mut spec.timing;
    for (given, drawn) in [
        (&mut t.snap_count, draw::snap_count as fn(u64) -> u64),
        (&mut t.window, draw::window),
        (&mut t.epoch_len, draw::epoch_len),
    ] {
        if *given == 0 {
            *given = drawn(seed);
        }
    }
    if spec.workload.generate.mix.is_empty() {
        spec.workload.generate.mix = draw::mix(seed);
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { fresh: 400, branch: 700, again: 0, change: 300, coarse: false }
    }
}
