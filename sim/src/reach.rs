//! What a run has reached: which events came to servers in which role and phase, where their logs stood, and what was wrong then.
//!
//! A tuple is (role, phase, event, log relation, faults). Events are the effects of a server ([`Effect`]) and the packets that it
//! reads. The number of different tuples tells how far runs, and the generators behind them, get around.

use std::collections::BTreeMap;

use quorate_core::event::{Event, Port, Role};
use quorate_core::ids::{Epoch, Zxid};
use quorate_core::wire::packet::kind;

use crate::effect::Effect;
use crate::queue::Micros;

const ROLES: usize = 5;
const PHASES: usize = 4;
const LOGS: usize = 4;
const FAULTS: usize = 8;
/// Packets of a quorum connection by type, other bytes of it, and what comes on the two other ports.
const MESSAGES: usize = kind::INFORM_AND_ACTIVATE as usize + 3;
const EVENTS: usize = Effect::COUNT + MESSAGES;
const TUPLES: usize = ROLES * PHASES * LOGS * FAULTS * EVENTS;

/// A set of tuples, by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    words: Vec<u64>,
    /// In the order in which they came, with the instant, µs.
    pub first: Vec<(u32, u64)>,
}

impl Default for Reached {
    fn default() -> Self {
        Self { words: vec![0; TUPLES.div_ceil(64)], first: Vec::new() }
    }
}

/// The same tuple without its faults, where its event is one of the protocol.
#[must_use]
pub fn coarse(tuple: u32) -> Option<u32> {
    let tuple = tuple as usize;
    let (place, event) = (tuple / EVENTS, tuple % EVENTS);
    let first = Effect::PersistEpoch as usize;
    let last = Effect::Looking as usize;
    let told = (first..=last).contains(&event)
        || event == Effect::Truncate as usize
        || event == Effect::SnapshotWrite as usize;
    let read = event >= Effect::COUNT && event < EVENTS - 1;
    (told || read).then(|| (place / FAULTS * EVENTS + event) as u32)
}

impl Reached {
    /// How many numbers there are; most of them stand for what cannot happen.
    pub const NUMBERS: usize = TUPLES;

    fn put(&mut self, tuple: usize, now: u64) {
        let (word, bit) = (&mut self.words[tuple / 64], 1 << (tuple % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.first.push((tuple as u32, now));
        }
    }
    /// How many tuples there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.count_ones())).sum()
    }
    /// Adds those of another set; returns how many were new.
    pub fn add(&mut self, other: &Self) -> u64 {
        let mut new = 0;
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            new += u64::from((theirs & !*mine).count_ones());
            *mine |= theirs;
        }
        new
    }
    /// Their numbers, ascending.
    pub fn tuples(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(i, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    i * 64 + bit
                })
            })
        })
    }
}

/// What is wrong around a server, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Wrong {
    /// On its connections.
    pub(crate) network: bool,
    /// With its process, its disk or its clock.
    pub(crate) machine: bool,
    /// Other servers are down or stand still.
    pub(crate) others: bool,
}

/// Where a server stands.
#[derive(Clone, Copy, Default, Debug)]
struct Place {
    role: usize,
    phase: usize,
    logged: Zxid,
    wrong: Wrong,
}

/// Records a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    servers: Vec<Place>,
    /// Newest zxid that was ever decided, and the newest of each epoch.
    tip: Zxid,
    ends: BTreeMap<Epoch, Zxid>,
    pub(crate) now: Micros,
    pub(crate) reached: Reached,
}

impl Recorder {
    pub(crate) fn new(servers: usize) -> Self {
        let (servers, ends) = (vec![Place::default(); servers], BTreeMap::new());
        Self { servers, tip: Zxid::ZERO, ends, now: 0, reached: Reached::default() }
    }

    /// What is wrong around a server from now on.
    pub(crate) fn wrong(&mut self, n: usize, wrong: Wrong) {
        self.servers[n].wrong = wrong;
    }

    /// A server's process begins.
    pub(crate) fn started(&mut self, n: usize) {
        (self.servers[n].role, self.servers[n].phase) = (0, 0);
    }

    /// A server does something.
    pub(crate) fn effect(&mut self, n: usize, effect: Effect) {
        self.put(n, effect as usize);
    }

    /// A server reads these bytes.
    pub(crate) fn read(&mut self, n: usize, port: Port, mut bytes: &[u8]) {
        let message = |number: i32| Effect::COUNT + usize::try_from(number).unwrap_or(0);
        match port {
            Port::Election => self.put(n, message(kind::INFORM_AND_ACTIVATE + 1)),
            Port::Client => self.put(n, message(kind::INFORM_AND_ACTIVATE + 2)),
            // Packets have no length around them; a snapshot between them is bytes.
            Port::Quorum => loop {
                let number = |at: usize| bytes.get(at..at + 4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]));
                let kind = number(0).filter(|k| (1..=kind::INFORM_AND_ACTIVATE).contains(k)).unwrap_or(0);
                self.put(n, message(kind));
                let data = number(12).and_then(|len| usize::try_from(len.max(0)).ok()).unwrap_or(0);
                match bytes.get(data.saturating_add(20)..) {
                    Some(rest) if kind > 0 && !rest.is_empty() => bytes = rest,
                    _ => break,
                }
            },
        }
    }

    /// A server reports something.
    pub(crate) fn event(&mut self, n: usize, event: &Event) {
        let place = &mut self.servers[n];
        match event {
            Event::RoleChanged { role, .. } => {
                place.phase = 0;
                place.role = match role {
                    Role::Recovering => 0,
                    Role::Looking | Role::ReadOnly => 1,
                    Role::Following => 2,
                    Role::Observing => 3,
                    Role::Leading | Role::Standalone => 4,
                };
            }
            Event::EpochAcked(_) | Event::EpochCurrent(_) if place.phase == 0 => place.phase = 1,
            Event::NewLeaderAcked { .. } => place.phase = 2,
            Event::UpToDate { .. } => place.phase = 3,
            Event::Established { last_logged, .. } => {
                place.phase = 3;
                self.decided(*last_logged);
            }
            Event::Decided(zxid) => self.decided(*zxid),
            Event::Logged { zxid, .. } => place.logged = *zxid,
            Event::Truncated(to) => place.logged = place.logged.min(*to),
            Event::TreeReplaced { zxid, .. } if place.role != 0 => place.logged = *zxid,
            Event::Recovered { last_logged, .. } => place.logged = *last_logged,
            _ => {}
        }
    }

    fn decided(&mut self, zxid: Zxid) {
        self.tip = self.tip.max(zxid);
        let end = self.ends.entry(zxid.epoch()).or_default();
        *end = (*end).max(zxid);
    }

    /// Behind what was decided, equal, ahead of it, or with an end that was left out.
    fn relation(&self, logged: Zxid) -> usize {
        if logged.epoch() < self.tip.epoch() {
            let end = self.ends.get(&logged.epoch()).copied().unwrap_or_default();
            return if logged > end { 3 } else { 0 };
        }
        match logged.cmp(&self.tip) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => 1,
            std::cmp::Ordering::Greater => 2,
        }
    }

    fn put(&mut self, n: usize, event: usize) {
        let Place { role, phase, logged, wrong } = self.servers[n];
        let faults = usize::from(wrong.network) | usize::from(wrong.machine) << 1 | usize::from(wrong.others) << 2;
        let place = ((role * PHASES + phase) * LOGS + self.relation(logged)) * FAULTS + faults;
        self.reached.put(place * EVENTS + event, self.now);
    }
}
