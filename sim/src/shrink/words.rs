//! What operations and faults say: short payloads, plain names, no more flags and values than it takes.

use std::collections::BTreeSet;

use super::Shrinker;
use crate::spec::{ExplicitOp, RunSpec};
use crate::workload::is_write;

/// Digits of a sequential znode's suffix.
const SUFFIX: usize = 10;

/// The paths of an operation, each by itself.
fn rename(op: &mut ExplicitOp, new: &dyn Fn(&str) -> String) {
    if op.op != "attach" && !op.path.is_empty() {
        op.path = op.path.split(',').map(new).collect::<Vec<_>>().join(",");
    }
}

fn renamed(spec: &mut RunSpec, new: &dyn Fn(&str) -> String) {
    spec.workload.explicit.iter_mut().for_each(|op| rename(op, new));
}

/// A sequential name with another number.
fn numbered(path: &str, new: &dyn Fn(u64) -> Option<u64>) -> String {
    let Some(at) = path.len().checked_sub(SUFFIX).filter(|at| path.is_char_boundary(*at)) else { return path.into() };
    let number = path[at..].parse::<u64>().ok().and_then(new);
    number.map_or_else(|| path.into(), |n| format!("{}{n:010}", &path[..at]))
}

impl Shrinker<'_> {
    pub(super) fn words(&mut self) {
        let all = self.with(|spec| spec.workload.explicit.iter_mut().for_each(plain));
        self.attempt(vec![all]);
        for i in 0..self.best.workload.explicit.len() {
            let candidate = self.with(|spec| plain(&mut spec.workload.explicit[i]));
            let simple = self.with(|spec| {
                let op = &mut spec.workload.explicit[i];
                if is_write(&op.op) && op.op != "create" {
                    plain(op);
                    (op.op, op.path, op.flags) = ("create".into(), "/a".into(), String::new());
                }
            });
            self.attempt(vec![simple, candidate]);
        }
        self.fault_words();
        self.paths();
        self.numbers();
    }

    /// Values and sides of faults.
    fn fault_words(&mut self) {
        for i in 0..self.best.faults.explicit.len() {
            let Some(fault) = self.best.faults.explicit.get(i).cloned() else { break };
            let mut candidates = Vec::new();
            let simpler = fault.value.into_iter().flat_map(|old| {
                [None, Some(0), Some(1)]
                    .into_iter()
                    .filter(move |new| new.is_none_or(|new: i64| new.unsigned_abs() < old.unsigned_abs()))
            });
            candidates.extend(simpler.map(|value| self.with(|s| s.faults.explicit[i].value = value)));
            let servers_only = |text: &Option<String>| {
                let list: Vec<&str> = text.as_deref()?.split(',').filter(|name| !name.starts_with('c')).collect();
                (!list.is_empty()).then(|| list.join(","))
            };
            let (from, to) = (servers_only(&fault.from), servers_only(&fault.to));
            if fault.from.is_some() && (from.is_some() && to.is_some()) {
                candidates.push(self.with(|spec| {
                    let fault = &mut spec.faults.explicit[i];
                    (fault.from, fault.to) = (from, to);
                }));
            }
            self.attempt(candidates);
        }
    }

    /// Plain names, and nothing below a znode that need not be there.
    fn paths(&mut self) {
        let paths: BTreeSet<String> = self
            .best
            .workload
            .explicit
            .iter()
            .filter(|op| op.op != "attach")
            .flat_map(|op| op.path.split(',').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for path in &paths {
            if path.len() < 2 || path.starts_with("/zookeeper") {
                continue;
            }
            // What is made below it stands at the top, and it is not made.
            let below = format!("{path}/");
            if paths.iter().any(|p| p.starts_with(&below)) {
                let candidate = self.with(|spec| {
                    spec.workload.explicit.retain(|op| !op.op.starts_with("create") || op.path != *path);
                    renamed(spec, &|p| p.strip_prefix(&below).map_or_else(|| p.to_owned(), |rest| format!("/{rest}")));
                });
                self.attempt(vec![candidate]);
            }
            let free = ["/a", "/b", "/c"].into_iter().filter(|name| !paths.contains(*name) && path.len() > 2);
            let candidates = free.map(|name| {
                self.with(|spec| renamed(spec, &|p| if p == path { name.to_owned() } else { p.to_owned() }))
            });
            let candidates = candidates.collect();
            self.attempt(candidates);
        }
    }

    /// Sequential names get the numbers that they have when less is made before them.
    fn numbers(&mut self) {
        let makes = |op: &ExplicitOp| op.op.starts_with("create") && (op.flags.contains('s') || op.op == "create-seq");
        loop {
            let count = self.best.workload.explicit.len();
            let lower = |spec: &mut RunSpec, by: u64| renamed(spec, &|p| numbered(p, &|n| n.checked_sub(by)));
            let mut candidates: Vec<RunSpec> = (0..count)
                .filter(|i| makes(&self.best.workload.explicit[*i]))
                .map(|i| {
                    self.with(|spec| {
                        spec.workload.explicit.remove(i);
                        lower(spec, 1);
                    })
                })
                .collect();
            let named = |p: &str| p.len() > SUFFIX && p[p.len().saturating_sub(SUFFIX)..].parse::<u64>().is_ok();
            let ops = self.best.workload.explicit.iter();
            let names: BTreeSet<String> = ops.map(|op| op.path.clone()).filter(|p| p.is_ascii() && named(p)).collect();
            for name in &names {
                for n in 0..4 {
                    candidates.push(self.with(|spec| {
                        renamed(spec, &|p| {
                            if p == name { numbered(p, &|old| (n < old).then_some(n)) } else { p.into() }
                        });
                    }));
                }
            }
            if self.attempt(candidates).is_none() {
                break;
            }
        }
    }
}

/// An operation with nothing said that need not be.
fn plain(op: &mut ExplicitOp) {
    op.data.clear();
    op.version = -1;
    op.flags.retain(|flag| !"wr".contains(flag));
}
