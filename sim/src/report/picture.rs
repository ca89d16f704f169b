//! The facts of a run, for a space-time diagram: bounded, and written as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use super::fact::{Fact, Kind, Who};
use super::standing::ROLES;
use crate::observe::Violation;
use crate::queue::Micros;
use crate::spec::Explicit;

/// A fact with its text by number.
#[derive(Clone, Copy, Debug)]
struct Stored {
    at: Micros,
    who: Who,
    kind: Kind,
    text: u32,
    numbers: [i64; 4],
}

#[derive(Clone, Debug)]
struct Struck {
    at: Micros,
    until: Option<Micros>,
    took: bool,
    fault: Explicit,
}

#[derive(Clone, Debug)]
struct Broken {
    at: Micros,
    violation: Violation,
    /// Number of the fact that broke it, from the first of the run.
    first: Option<u64>,
    /// The one that it contradicts.
    second: Option<u64>,
}

/// See the module. A run that does not fit loses its oldest messages and disk operations first.
#[derive(Clone, Debug)]
pub struct Picture {
    limit: usize,
    texts: Vec<Rc<str>>,
    numbers: BTreeMap<Rc<str>, u32>,
    /// With their numbers in the run.
    facts: Vec<(u64, Stored)>,
    told: u64,
    left_out: u64,
    /// Everything since then is there.
    whole_since: Micros,
    faults: Vec<Struck>,
    broken: Option<Broken>,
}

/// Facts that make a file of some megabytes.
const LIMIT: usize = 200_000;

impl Default for Picture {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl Picture {
    /// Keeps so many facts at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(100),
            texts: Vec::new(),
            numbers: BTreeMap::new(),
            facts: Vec::new(),
            told: 0,
            left_out: 0,
            whole_since: 0,
            faults: Vec::new(),
            broken: None,
        }
    }

    /// One more.
    pub fn add(&mut self, fact: &Fact) {
        // The message has its name where it was sent.
        let text = if matches!(fact.kind, Kind::Received | Kind::Lost) { "" } else { fact.text.as_str() };
        let text = match self.numbers.get(text) {
            Some(number) => *number,
            None => {
                let (number, text) = (self.texts.len() as u32, Rc::<str>::from(text));
                self.texts.push(text.clone());
                self.numbers.insert(text, number);
                number
            }
        };
        let stored = Stored { at: fact.at, who: fact.who, kind: fact.kind, text, numbers: fact.numbers };
        self.facts.push((self.told, stored));
        self.told += 1;
        if self.facts.len() > self.limit + self.limit / 4 {
            self.shrink();
        }
    }

    /// Leaves out the oldest of the least weight until the limit is kept.
    fn shrink(&mut self) {
        for weight in 0..=2 {
            let mut excess = self.facts.len().saturating_sub(self.limit);
            if excess == 0 {
                return;
            }
            let before = self.facts.len();
            // Where a server stood when the details begin is told by its last mark of each kind.
            let mut marks: BTreeMap<(u32, Kind), u64> = BTreeMap::new();
            let light = self.facts.iter().filter(|(_, f)| f.kind.weight() == weight);
            for (number, fact) in light.clone().take(excess) {
                if let (Who::Server(n), Kind::Logged | Kind::Durable | Kind::Applied) = (fact.who, fact.kind) {
                    marks.insert((n, fact.kind), *number);
                }
            }
            let kept: BTreeSet<u64> = marks.into_values().collect();
            if let Some((_, last)) = light.take(excess).last() {
                self.whole_since = self.whole_since.max(last.at + 1);
            }
            self.facts.retain(|(number, fact)| {
                let goes = excess > 0 && fact.kind.weight() == weight;
                excess -= usize::from(goes);
                !goes || kept.contains(number)
            });
            self.left_out += (before - self.facts.len()) as u64;
        }
    }

    pub(super) fn struck(&mut self, at: Micros, fault: &Explicit) {
        self.faults.push(Struck { at, until: None, took: false, fault: fault.clone() });
    }

    pub(super) fn ended(&mut self, at: Micros, id: u32) {
        if let Some(struck) = self.faults.iter_mut().rev().find(|s| s.fault.id == id) {
            struck.until = Some(at);
        }
    }

    pub(super) fn took(&mut self, ids: impl Iterator<Item = u32>) {
        let ids: BTreeSet<u32> = ids.collect();
        for struck in &mut self.faults {
            struck.took |= ids.contains(&struck.fault.id);
        }
    }

    pub(super) fn violated(&mut self, at: Micros, violation: &Violation) {
        let earlier = violation.earlier;
        let fits = |f: &Stored| {
            earlier.is_some_and(|e| {
                let server = e.node.is_none_or(|n| f.who == Who::Server(n as u32));
                f.kind == e.kind && server && e.number.is_none_or(|n| f.numbers[0] == n)
            })
        };
        let judged = |f: &Stored| !matches!(f.kind, Kind::Sent | Kind::Lost);
        // A fact that is due and missing was not told: nothing has just happened.
        let first = self.facts.last().filter(|(_, f)| f.at == at && judged(f)).map(|(number, _)| *number);
        let before = self.facts.iter().rev().filter(|(number, _)| first.is_none_or(|first| *number < first));
        let found = before.clone().find(|(_, f)| fits(f));
        // What a new leader's history holds is decided without a word for each.
        let proposed = || {
            let zxid = earlier.filter(|e| e.kind == Kind::Decided)?.number?;
            before.clone().find(|(_, f)| f.kind == Kind::Proposed && f.numbers[0] == zxid)
        };
        // What has been durable since before the run begins with its recovery.
        let recovered = || {
            let node = earlier.filter(|e| matches!(e.kind, Kind::Durable | Kind::Logged | Kind::EpochCurrent))?.node?;
            before.clone().find(|(_, f)| f.kind == Kind::Recovered && f.who == Who::Server(node as u32))
        };
        let second = found.or_else(proposed).or_else(recovered).map(|(number, _)| *number);
        self.broken = Some(Broken { at, violation: violation.clone(), first, second });
    }

    /// How many facts it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }
    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }
    /// How many facts it has left out.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// As a JSON object. `servers`: how many lanes stand before the first client's.
    ///
    /// Keys: `kinds` and `roles` (names by number), `texts`, `facts` (arrays: µs since the fact before, lane or -1, kind, text, numbers
    /// without the zeros at their end), `faults`, `violation` (`first` and `second` are places in `facts`), `left_out`, `whole_since`.
    #[must_use]
    pub fn json(&mut self, servers: usize) -> String {
        self.shrink();
        let mut out = String::with_capacity(self.facts.len() * 28);
        out.push_str("{\"kinds\":");
        push_json(&mut out, &Kind::NAMES[..]);
        out.push_str(",\"roles\":");
        push_json(&mut out, &ROLES);
        let mut used: BTreeMap<u32, usize> = BTreeMap::new();
        out.push_str(",\n\"facts\":[");
        let mut last = 0;
        let mut texts: Vec<&str> = Vec::new();
        for (i, (_, f)) in self.facts.iter().enumerate() {
            let text = *used.entry(f.text).or_insert_with(|| {
                texts.push(&self.texts[f.text as usize]);
                texts.len() - 1
            });
            let lane = match f.who {
                Who::Server(n) => i64::from(n),
                Who::Client(n) => servers as i64 + i64::from(n),
                Who::World => -1,
            };
            let comma = if i > 0 { "," } else { "" };
            let _ = write!(out, "{comma}[{},{lane},{},{text}", f.at - last, f.kind as u8);
            last = f.at;
            let numbers = f.numbers.len() - f.numbers.iter().rev().take_while(|n| **n == 0).count();
            for number in &f.numbers[..numbers] {
                let _ = write!(out, ",{number}");
            }
            out.push(']');
        }
        out.push_str("],\n\"texts\":");
        push_json(&mut out, &texts);
        out.push_str(",\n\"faults\":[");
        for (i, s) in self.faults.iter().enumerate() {
            let comma = if i > 0 { ",\n" } else { "" };
            let until = s.until.map_or("null".to_owned(), |at| at.to_string());
            let _ = write!(out, "{comma}{{\"at\":{},\"until\":{until},\"took\":{},\"fault\":", s.at, s.took);
            push_json(&mut out, &s.fault);
            out.push('}');
        }
        out.push_str("],\n\"violation\":");
        match &self.broken {
            None => out.push_str("null"),
            Some(b) => self.push_violation(&mut out, b),
        }
        let _ = write!(out, ",\n\"left_out\":{},\"whole_since\":{}}}", self.left_out, self.whole_since);
        out
    }

    fn push_violation(&self, out: &mut String, b: &Broken) {
        let place = |number: Option<u64>| {
            let found = number.and_then(|n| self.facts.binary_search_by_key(&n, |(number, _)| *number).ok());
            found.map_or("null".to_owned(), |i| i.to_string())
        };
        let v = &b.violation;
        let (happened, known) = v.text.split_once("; but ").unwrap_or((&v.text, ""));
        let node = v.node.map_or("null".to_owned(), |n| n.to_string());
        let _ = write!(out, "{{\"invariant\":\"{}\",\"at\":{},\"node\":{node},", v.invariant, b.at);
        let _ = write!(out, "\"first\":{},\"second\":{},\"happened\":", place(b.first), place(b.second));
        push_json(out, happened);
        out.push_str(",\"known\":");
        push_json(out, known);
        out.push('}');
    }
}

fn push_json<T: serde::Serialize + ?Sized>(out: &mut String, value: &T) {
    // Names, texts and plain structs: there is nothing in them that cannot be written.
    out.push_str(&serde_json::to_string(value).unwrap_or_else(|_| "null".into()));
}
