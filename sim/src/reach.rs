//! What a run has reached: which events came to servers in which role and phase, where their logs stood, and what was wrong then.
//!
//! A tuple is (role, phase, log, faults, event). Events are the effects of a server ([`Effect`]) and what it reads. How many
//! different ones runs come to, and how seldom, tells how far their generators get around. Nothing is steered by it
//! (`docs/exploration.md`).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use quorate_core::event::{Event, Port, Role};
use quorate_core::ids::{Epoch, Zxid};
use quorate_core::wire::packet::{kind, kind_name};

use crate::effect::Effect;

const ROLES: &[&str] = &["recovering", "looking", "following", "observing", "leading"];
/// Election before a role, discovery, synchronisation until NEWLEADER is acknowledged, and then.
const PHASES: &[&str] = &["start", "synchronising", "waiting", "broadcast"];
/// Its log against what was ever decided.
const LOGS: &[&str] = &["behind", "equal", "ahead", "diverged"];
/// [`Wrong`], a bit each.
const FAULTS: &[&str] = &["none", "network", "machine", "network+machine"];
/// What is read: packets of a quorum connection by type, 0 for other bytes there, and two for the other ports.
const NOTIFICATION: i32 = kind::INFORM_AND_ACTIVATE + 1;
const CLIENT: i32 = kind::INFORM_AND_ACTIVATE + 2;
const EVENTS: usize = Effect::COUNT + CLIENT as usize + 1;
const TUPLES: usize = ROLES.len() * PHASES.len() * LOGS.len() * 2 * FAULTS.len() * EVENTS;

/// A tuple; its text names each part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tuple(u32);

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0 as usize;
        let mut part = |size: usize| {
            let part = rest % size;
            rest /= size;
            part
        };
        let event = part(EVENTS);
        let (fault, others) = (FAULTS[part(FAULTS.len())], ["", "+others"][part(2)]);
        let (log, phase, role) = (LOGS[part(LOGS.len())], PHASES[part(PHASES.len())], ROLES[part(ROLES.len())]);
        write!(f, "{role} {phase} {log} {fault}{others} ")?;
        let Some(message) = event.checked_sub(Effect::COUNT) else {
            return f.write_str(Effect::names().nth(event).unwrap_or_default());
        };
        match message as i32 {
            0 => f.write_str("read-bytes"),
            NOTIFICATION => f.write_str("read-notification"),
            CLIENT => f.write_str("read-client"),
            packet => write!(f, "read-{}", kind_name(packet)),
        }
    }
}

/// A set of tuples.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached(Vec<u64>);

impl Default for Reached {
    fn default() -> Self {
        Self(vec![0; TUPLES.div_ceil(64)])
    }
}

impl Reached {
    fn put(&mut self, tuple: usize) {
        self.0[tuple / 64] |= 1 << (tuple % 64);
    }
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
    /// All of them, ascending.
    pub fn tuples(&self) -> impl Iterator<Item = Tuple> {
        let bits = |word: u64| (0..64).filter(move |bit| word >> bit & 1 == 1);
        self.0.iter().zip(0..).flat_map(move |(word, i)| bits(*word).map(move |bit| Tuple(i * 64 + bit)))
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
    pub(crate) reached: Reached,
}

impl Recorder {
    pub(crate) fn new(servers: usize) -> Self {
        let (servers, ends) = (vec![Place::default(); servers], BTreeMap::new());
        Self { servers, tip: Zxid::ZERO, ends, reached: Reached::default() }
    }

    /// What is wrong around each server from now on.
    pub(crate) fn wrong(&mut self, wrong: &[Wrong]) {
        self.servers.iter_mut().zip(wrong).for_each(|(place, wrong)| place.wrong = *wrong);
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
            Port::Election => self.put(n, message(NOTIFICATION)),
            Port::Client => self.put(n, message(CLIENT)),
            // Packets have no length around them. Bytes of a snapshot, or behind a cut, are now and then taken for one.
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
            Ordering::Less => 0,
            Ordering::Equal => 1,
            Ordering::Greater => 2,
        }
    }

    fn put(&mut self, n: usize, event: usize) {
        let Place { role, phase, logged, wrong } = self.servers[n];
        let faults = usize::from(wrong.network) | usize::from(wrong.machine) << 1;
        let mut tuple = (role * PHASES.len() + phase) * LOGS.len() + self.relation(logged);
        tuple = tuple * 2 + usize::from(wrong.others);
        self.reached.put((tuple * FAULTS.len() + faults) * EVENTS + event);
    }
}

#[cfg(test)]
mod tests {
    use quorate_core::wire::packet::Packet;

    use super::*;

    fn texts(recorder: &Recorder) -> Vec<String> {
        recorder.reached.tuples().map(|t| t.to_string()).collect()
    }

    #[test]
    fn packets_are_read_one_by_one_and_a_tuple_names_its_parts() {
        let mut bytes = Vec::new();
        Packet::new(kind::PROPOSAL, Zxid::new(1, 1), Some(b"xyz")).encode(&mut bytes);
        Packet::new(kind::COMMIT, Zxid::new(1, 1), None).encode(&mut bytes);
        let mut recorder = Recorder::new(2);
        recorder.event(1, &Event::RoleChanged { role: Role::Following, epoch: 1 });
        recorder.event(1, &Event::UpToDate { epoch: 1, applied: Zxid::ZERO });
        recorder.wrong(&[Wrong::default(), Wrong { network: true, machine: false, others: true }]);
        recorder.read(1, Port::Quorum, &bytes);
        recorder.read(1, Port::Quorum, b"a snapshot");
        let at = "following broadcast equal network+others read-";
        assert_eq!(texts(&recorder), ["bytes", "PROPOSAL", "COMMIT"].map(|what| format!("{at}{what}")));
        assert_eq!(recorder.reached.count(), 3);
    }

    #[test]
    fn logs_stand_against_what_was_decided() {
        let mut recorder = Recorder::new(1);
        let mut stands = |event: Event| {
            recorder.event(0, &event);
            LOGS[recorder.relation(recorder.servers[0].logged)]
        };
        let logged = |epoch, counter| Event::Logged { zxid: Zxid::new(epoch, counter), hash: 0 };
        assert_eq!(stands(logged(1, 1)), "ahead");
        assert_eq!(stands(Event::Decided(Zxid::new(1, 1))), "equal");
        assert_eq!(stands(logged(1, 2)), "ahead");
        assert_eq!(stands(Event::Decided(Zxid::new(2, 1))), "diverged");
        assert_eq!(stands(Event::Truncated(Zxid::new(1, 1))), "behind");
    }
}
