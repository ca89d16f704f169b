//! Leaving out servers and clients; those behind them move up and get their names.

use super::{Shrinker, lists};
use crate::rng::Stream;
use crate::spec::{At, Explicit, RunSpec};

/// What becomes of names.
struct Names {
    /// By number, from 0: the new number.
    servers: Vec<Option<usize>>,
    clients: Vec<Option<usize>>,
}

impl Names {
    fn of(spec: &RunSpec) -> Self {
        Self {
            servers: (0..spec.servers()).map(Some).collect(),
            clients: (0..spec.topology.clients as usize).map(Some).collect(),
        }
    }

    fn name(&self, name: &str) -> Option<String> {
        let number = |prefix: char, list: &[Option<usize>]| {
            let number = name.strip_prefix(prefix)?.parse::<usize>().ok()?.checked_sub(1)?;
            list.get(number).map(|new| new.map(|new| format!("{prefix}{}", new + 1)))
        };
        number('s', &self.servers).or_else(|| number('c', &self.clients)).unwrap_or_else(|| Some(name.to_owned()))
    }

    /// A list of names; `None`: nobody is left of it.
    fn list(&self, text: &str) -> Option<String> {
        let left: Vec<String> = text.split(',').filter_map(|name| self.name(name.trim())).collect();
        (!left.is_empty()).then(|| left.join(","))
    }

    fn at(&self, at: &At) -> Option<At> {
        match at {
            At::Effect { node, effect, n, when } => {
                Some(At::Effect { node: self.name(node)?, effect: effect.clone(), n: *n, when: *when })
            }
            other => Some(other.clone()),
        }
    }

    fn fault(&self, f: &Explicit) -> Option<Explicit> {
        let one = |text: &Option<String>| text.as_ref().map_or(Some(None), |t| self.list(t).map(Some));
        Some(Explicit { at: self.at(&f.at)?, node: one(&f.node)?, from: one(&f.from)?, to: one(&f.to)?, ..f.clone() })
    }

    /// The run with these names only.
    fn apply(&self, spec: &RunSpec) -> RunSpec {
        let mut out = spec.clone();
        let left = |list: &[Option<usize>]| list.iter().flatten().count() as u32;
        let voters = (spec.topology.voters as usize).min(self.servers.len());
        out.topology.voters = left(&self.servers[..voters]);
        out.topology.observers = left(&self.servers[voters..]);
        out.topology.clients = left(&self.clients);
        let initial = spec.topology.initial.iter();
        out.topology.initial = initial.filter_map(|(name, disk)| Some((self.name(name)?, disk.clone()))).collect();
        // Groups of which nobody is left are none.
        out.topology.groups = spec.topology.groups.iter().filter_map(|group| self.list(group)).collect();
        let weights = spec.topology.weights.iter();
        out.topology.weights = weights.filter_map(|(name, weight)| Some((self.name(name)?, *weight))).collect();
        if !crate::quorum::Quorum::of(&out.topology).decides(|_| true) {
            out.topology.groups.clear();
            out.topology.weights.clear();
        }
        out.network.links.retain_mut(|link| {
            let (from, to) = (self.list(&link.from), self.list(&link.to));
            let both = from.zip(to);
            if let Some((from, to)) = &both {
                (link.from, link.to) = (from.clone(), to.clone());
            }
            both.is_some()
        });
        out.faults.explicit = spec.faults.explicit.iter().filter_map(|f| self.fault(f)).collect();
        out.workload.explicit.retain_mut(|op| {
            let client = self.clients.get(op.client as usize - 1).copied().flatten();
            op.client = client.map_or(0, |c| c as u32 + 1);
            let path = if op.op == "attach" { self.name(&op.path) } else { Some(op.path.clone()) };
            let there = path.is_some() && client.is_some();
            op.path = path.unwrap_or_default();
            there
        });
        lists::mend(&mut out);
        out
    }
}

/// Numbers that stay when these are left out.
fn leave_out(list: &mut [Option<usize>], out: &[usize]) {
    let mut next = 0;
    for (i, slot) in list.iter_mut().enumerate() {
        *slot = (!out.contains(&i)).then_some(next);
        next += usize::from(slot.is_some());
    }
}

impl Shrinker<'_> {
    fn renamed(&self, change: impl FnOnce(&mut Names)) -> RunSpec {
        let mut names = Names::of(&self.best);
        change(&mut names);
        names.apply(&self.best)
    }

    /// With three of the voters, whichever, and no observers.
    pub(super) fn three_voters(&self, s: &mut Stream) -> RunSpec {
        let mut voters: Vec<usize> = (0..self.best.topology.voters as usize).collect();
        s.shuffle(&mut voters);
        voters.truncate(3);
        let out: Vec<usize> = (0..self.best.servers()).filter(|n| !voters.contains(n)).collect();
        self.renamed(|names| leave_out(&mut names.servers, &out))
    }

    pub(super) fn servers(&mut self) {
        loop {
            let (voters, all) = (self.best.topology.voters as usize, self.best.servers());
            let observers: Vec<usize> = (voters..all).collect();
            let mut sets = vec![observers.clone()];
            sets.extend(observers.iter().map(|o| vec![*o]));
            // Two voters at a time: a majority of the rest is one less.
            sets.extend((0..voters).rev().flat_map(|b| (0..b).rev().map(move |a| vec![a, b])));
            sets.extend((0..voters).rev().map(|a| vec![a]));
            sets.retain(|set| !set.is_empty() && set.iter().filter(|n| **n < voters).count() < voters);
            let candidates = sets.iter().map(|set| self.renamed(|names| leave_out(&mut names.servers, set))).collect();
            if self.attempt(candidates).is_none() {
                break;
            }
        }
    }

    pub(super) fn clients(&mut self) {
        let used = |spec: &RunSpec, c: usize| spec.workload.explicit.iter().any(|op| op.client as usize == c + 1);
        let idle: Vec<usize> = (0..self.best.topology.clients as usize).filter(|c| !used(&self.best, *c)).collect();
        let all = self.renamed(|names| leave_out(&mut names.clients, &idle));
        self.attempt(vec![all]);
        // One asks for another: the last ones go first.
        loop {
            let count = self.best.topology.clients as usize;
            let mut candidates: Vec<RunSpec> =
                (0..count).rev().map(|c| self.renamed(|names| leave_out(&mut names.clients, &[c]))).collect();
            for from in (1..count).rev() {
                for to in (0..from).rev() {
                    candidates.push(self.renamed(|names| {
                        leave_out(&mut names.clients, &[from]);
                        names.clients[from] = Some(to);
                    }));
                }
            }
            candidates.iter_mut().for_each(|c| c.topology.clients = (count as u32).saturating_sub(1));
            if count == 0 || self.attempt(candidates).is_none() {
                break;
            }
        }
    }
}
