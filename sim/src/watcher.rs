//! Where everything that happens goes: the checks, the digest of the run, the trace.

use std::fmt::Arguments;

use quorate_core::ids::Millis;

use crate::observe::{Check, Obs, Observation, Violation};
use crate::queue::Micros;
use crate::reach::Recorder;
use crate::report::{Kind, Reporter, Who};

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
    /// Whoever reads what happens.
    pub(crate) reporter: Option<Reporter<'a>>,
    pub(crate) digest: Digest,
    seq: u64,
    pub(crate) now: Micros,
    pub(crate) violation: Option<Violation>,
    pub(crate) reach: Option<Recorder>,
}

impl<'a> Watcher<'a> {
    pub(crate) const fn new(check: &'a mut dyn Check, reporter: Option<Reporter<'a>>, seed: u64) -> Self {
        Self { check, reporter, digest: Digest::new(seed), seq: 0, now: 0, violation: None, reach: None }
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
                Obs::Started { node, .. } => reach.started(node),
                _ => {}
            }
        }
        if let Some(reporter) = &mut self.reporter {
            reporter.observe(self.now, &what);
        }
        let observation = Observation { time_ms: self.ms(), seq: self.seq, what };
        if self.violation.is_none()
            && let Err(violation) = self.check.observe(&observation)
        {
            self.violated(violation);
        }
        self.seq
    }

    /// A promise is broken: the run ends.
    pub(crate) fn violated(&mut self, violation: Violation) {
        if let Some(reporter) = &mut self.reporter {
            reporter.violation(self.now, &violation);
        }
        self.violation = Some(violation);
    }

    pub(crate) fn check(&self) -> &dyn Check {
        self.check
    }

    /// Tells a reader what the checks need not know.
    pub(crate) fn note(&mut self, who: Who, what: Arguments<'_>) {
        if let Some(reporter) = &mut self.reporter {
            reporter.note(self.now, who, Kind::Note, [0; 4], what);
        }
    }

    /// The same of a server.
    pub(crate) fn note_of(&mut self, node: usize, what: Arguments<'_>) {
        self.note(Who::Server(node as u32), what);
    }

    pub(crate) fn take_tail(&mut self) -> Vec<String> {
        self.reporter.as_mut().map(Reporter::take_tail).unwrap_or_default()
    }
}
