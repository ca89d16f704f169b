//! What Peers and disks do, remembered: each is a function of what it is and of what it is told, and states of the ensemble mostly
//! differ in one server. So each step is made once and looked up afterwards, and a Peer is digested where it rests only: what it
//! passes through on the way there has the digest of where it came from and of what it was told.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::hash::Hasher;
use std::rc::Rc;

use bytes::Bytes;
use quorate_core::error::DiskError;
use quorate_core::event::{Action, DiskOp, DiskReply, Input, LinkEvent, Outbox};
use quorate_core::ids::Now;
use quorate_core::peer::Peer;

use super::machine::number;
use crate::disk::SimDisk;
use crate::watcher::Digest;

/// So much is remembered, about 15 KiB each; then all is forgotten. More gains nothing: orders that are tried after each other are
/// alike.
const MOST: usize = 50_000;

/// A digest of everything that is put into it, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark(Digest);

impl Default for Mark {
    fn default() -> Self {
        Self(Digest::new(0))
    }
}

impl Hasher for Mark {
    fn finish(&self) -> u64 {
        self.0.value()
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.bytes(bytes);
    }
    fn write_u8(&mut self, n: u8) {
        self.0.number(n.into());
    }
    fn write_u32(&mut self, n: u32) {
        self.0.number(n.into());
    }
    fn write_u64(&mut self, n: u64) {
        self.0.number(n);
    }
    fn write_i64(&mut self, n: i64) {
        self.0.number(n as u64);
    }
    fn write_usize(&mut self, n: usize) {
        self.0.number(n as u64);
    }
    fn write_isize(&mut self, n: isize) {
        self.0.number(n as u64);
    }
}

/// Digest of a value by all its fields. Slow.
fn digest_of(value: &dyn fmt::Debug) -> u64 {
    let mut text = String::with_capacity(16 * 1024);
    // A string takes everything.
    let written = write!(text, "{value:?}");
    debug_assert!(written.is_ok());
    let mut mark = Mark::default();
    mark.write(text.as_bytes());
    mark.finish()
}

/// A Peer, and the buffer that names its links and tickets.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) peer: Peer,
    out: Outbox,
    /// At rest: of both, without the Peer's counters. What derives `Debug` hides nothing, and of a tree there is its digest.
    pub(super) mark: u64,
    pub(super) rests: bool,
}

impl Process {
    /// What it wants done, taken out of its buffer.
    fn done(mut self) -> Step {
        let wish = |action: &Action| {
            let bytes = match action {
                Action::Send { payload, .. } => Bytes::copy_from_slice(self.out.bytes_of(payload)),
                _ => Bytes::new(),
            };
            let mark = if let Action::Disk { op, .. } = action { digest_of(op) } else { 0 };
            Wish { action: action.clone(), bytes, mark }
        };
        let wishes = self.out.actions().iter().map(wish).collect();
        self.out.clear();
        Step { process: Rc::new(self), wishes }
    }
}

/// One thing that a Peer wants done.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) action: Action,
    /// To be sent.
    pub(super) bytes: Bytes,
    /// Of a disk operation.
    pub(super) mark: u64,
}

/// What came of an input.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) process: Rc<Process>,
    pub(super) wishes: Vec<Wish>,
}

/// A disk, and its digest.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    pub(super) disk: SimDisk,
    pub(super) mark: u64,
}

impl Drive {
    pub(super) fn new(disk: SimDisk) -> Rc<Self> {
        let mut mark = Mark::default();
        disk.hash(&mut mark);
        Rc::new(Self { disk, mark: mark.finish() })
    }
}

/// How an operation ended, and its digest.
pub(super) type Outcome = (Result<DiskReply, DiskError>, u64);

/// See the module. One for each thread, and for one planted bug at most (but one that counts for the whole thread, K27, makes a
/// Peer no function of its input).
#[derive(Debug)]
pub(super) struct Memo {
    /// See [`MOST`].
    pub(super) most: usize,
    steps: BTreeMap<(u64, u64), Rc<Step>>,
    /// Processes at rest, by the marks that they came with, and by their own.
    rests: BTreeMap<u64, Rc<Process>>,
    own: BTreeMap<u64, Rc<Process>>,
    drives: BTreeMap<(u64, u64), (Rc<Drive>, Rc<Outcome>)>,
    cuts: BTreeMap<(u64, bool), Rc<Drive>>,
}

impl Default for Memo {
    fn default() -> Self {
        let (steps, rests, own) = Default::default();
        Self { most: MOST, steps, rests, own, drives: BTreeMap::new(), cuts: BTreeMap::new() }
    }
}

impl Memo {
    /// Forgets all when it is too much.
    pub(super) fn make_room(&mut self) {
        let size = [self.steps.len(), self.rests.len(), self.drives.len(), self.cuts.len()];
        if size.into_iter().sum::<usize>() > self.most {
            *self = Self { most: self.most, ..Self::default() };
        }
    }

    /// A server starts; `n` and `life` are all that tells this start from others at this time.
    pub(super) fn start(&mut self, n: usize, life: u32, now: Now, make: impl FnOnce() -> Peer) -> Rc<Step> {
        let mut key = Mark::default();
        key.write_i64(now.mono_ms);
        key.write_u32(life);
        key.write_usize(n);
        let key = (0, key.finish());
        if let Some(step) = self.steps.get(&key) {
            return step.clone();
        }
        let mut process = Process { peer: make(), out: Outbox::new(), mark: chain(key), rests: false };
        process.peer.start(now, &mut process.out);
        let step = Rc::new(process.done());
        self.steps.insert(key, step.clone());
        step
    }

    /// A process is told something.
    pub(super) fn step(&mut self, process: &Process, now: Now, told: (Input<'_>, u64)) -> Rc<Step> {
        let (input, mark) = told;
        let key = (process.mark, mark_of(now, &input, mark));
        if let Some(step) = self.steps.get(&key) {
            return step.clone();
        }
        let mut next = Process { mark: chain(key), rests: false, ..process.clone() };
        next.peer.step(now, input, &mut next.out);
        let step = Rc::new(next.done());
        self.steps.insert(key, step.clone());
        step
    }

    /// Nothing is due for this process any more: from now on it is the first of those that are like it.
    pub(super) fn rest(&mut self, process: &Process) -> Rc<Process> {
        if let Some(at_rest) = self.rests.get(&process.mark) {
            return at_rest.clone();
        }
        let mut counted = process.peer.clone();
        counted.reset_counters();
        let mark = digest_of(&(&counted, &process.out));
        let own = self.own.entry(mark).or_insert_with(|| Rc::new(Process { mark, rests: true, ..process.clone() }));
        let at_rest = own.clone();
        self.rests.insert(process.mark, at_rest.clone());
        at_rest
    }

    /// A disk does something; `mark` is the operation's.
    pub(super) fn execute(&mut self, drive: &Drive, op: &DiskOp, mark: u64) -> (Rc<Drive>, Rc<Outcome>) {
        let done = self.drives.entry((drive.mark, mark)).or_insert_with(|| {
            let mut disk = drive.disk.clone();
            let result = disk.execute(op);
            let mark = digest_of(&result);
            (Drive::new(disk), Rc::new((result, mark)))
        });
        done.clone()
    }

    /// The power of a disk goes.
    pub(super) fn power_cut(&mut self, drive: &Drive, keep: bool) -> Rc<Drive> {
        let left = self.cuts.entry((drive.mark, keep)).or_insert_with(|| {
            let mut disk = drive.disk.clone();
            disk.power_cut_whole(keep);
            Drive::new(disk)
        });
        left.clone()
    }
}

/// Where this leads.
fn chain((from, told): (u64, u64)) -> u64 {
    let mut mark = Mark::default();
    mark.write_u64(from);
    mark.write_u64(told);
    mark.finish()
}

/// `outcome` is the digest of what a disk operation came to.
fn mark_of(now: Now, input: &Input<'_>, outcome: u64) -> u64 {
    let mut mark = Mark::default();
    mark.write_i64(now.mono_ms);
    match input {
        Input::Tick => mark.write_u8(0),
        Input::Link { link, event } => {
            mark.write_u8(1);
            mark.write_u64(link.0);
            match event {
                LinkEvent::Opened { port, remote } => {
                    mark.write_usize(3 + number(*port));
                    mark.write_u64(digest_of(remote));
                }
                LinkEvent::Bytes(bytes) | LinkEvent::Messages { bytes, .. } => {
                    mark.write_u8(0);
                    mark.write(bytes);
                }
                LinkEvent::Closed => mark.write_u8(1),
                LinkEvent::Drained(n) => {
                    mark.write_u8(2);
                    mark.write_usize(*n);
                }
            }
        }
        Input::Disk { ticket, .. } => {
            mark.write_u8(2);
            mark.write_u64(ticket.0);
            mark.write_u64(outcome);
        }
        Input::Admin(command) => mark.write_u64(digest_of(command)),
    }
    mark.finish()
}
