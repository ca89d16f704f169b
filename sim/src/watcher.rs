//! Where everything that happens goes: the checks, the digest of the run, the trace.

use std::collections::VecDeque;
use std::fmt::Arguments;

use quorate_core::ids::Millis;

use crate::observe::{Check, Obs, Observation, Violation};
use crate::queue::Micros;
use crate::reach::Recorder;

/// A 64-bit digest of what is folded into it, eight bytes at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Digest(u64);

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Digest {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x51_7cc1_b727_220a)
    }
    pub(crate) const fn value(self) -> u64 {
        self.0
    }
    pub(crate) const fn number(&mut self, n: u64) {
        let x = (self.0 ^ n).wrapping_mul(MULTIPLIER);
        self.0 = x ^ (x >> 29);
    }
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.number(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last));
        self.number(bytes.len() as u64);
    }
}

/// See the module.
pub(crate) struct Watcher<'a> {
    check: &'a mut dyn Check,
    trace: Option<&'a mut dyn FnMut(&str)>,
    keep: usize,
    tail: VecDeque<String>,
    pub(crate) digest: Digest,
    seq: u64,
    pub(crate) now: Micros,
    pub(crate) violation: Option<Violation>,
    pub(crate) reach: Option<Recorder>,
}

impl<'a> Watcher<'a> {
    pub(crate) const fn new(
        check: &'a mut dyn Check,
        trace: Option<&'a mut dyn FnMut(&str)>,
        keep: usize,
        seed: u64,
    ) -> Self {
        Self {
            check,
            trace,
            keep,
            tail: VecDeque::new(),
            digest: Digest::new(seed),
            seq: 0,
            now: 0,
            violation: None,
            reach: None,
        }
    }

    /// Virtual time, ms.
    pub(crate) const fn ms(&self) -> Millis {
        (self.now / 1000) as Millis
    }

    /// Tells the checks. Returns the observation's number.
    pub(crate) fn tell(&mut self, what: Obs<'_>) -> u64 {
        self.seq += 1;
        if let Some(reach) = &mut self.reach {
            match what {
                Obs::Server { node, event } => reach.event(node, event),
                Obs::Started { node } => reach.started(node),
                _ => {}
            }
        }
        let observation = Observation { time_ms: self.ms(), seq: self.seq, what };
        if self.violation.is_none()
            && let Err(violation) = self.check.observe(&observation)
        {
            self.violation = Some(violation);
        }
        self.seq
    }

    pub(crate) fn check(&self) -> &dyn Check {
        self.check
    }

    /// Whether trace lines are wanted at all.
    pub(crate) const fn traces(&self) -> bool {
        self.trace.is_some() || self.keep > 0
    }

    /// Writes a line of the trace.
    pub(crate) fn line(&mut self, who: Arguments<'_>, what: Arguments<'_>) {
        if !self.traces() {
            return;
        }
        let who = who.to_string();
        let line = format!("{:>6}.{:03} {who:<4} {what}", self.now / 1000, self.now % 1000);
        if let Some(trace) = &mut self.trace {
            trace(&line);
        }
        if self.keep > 0 {
            if self.tail.len() == self.keep {
                self.tail.pop_front();
            }
            self.tail.push_back(line);
        }
    }

    pub(crate) fn take_tail(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tail).into()
    }
}
