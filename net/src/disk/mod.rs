//! The two disk lanes: threads that carry out primitives on real files, in order.
//!
//! What the machine asks for in one turn of the loop goes to a lane in one hand-over; what has ended comes back in one batch
//! and wakes the loop once.

mod files;
mod snapshots;

use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Waker;
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, DiskReply, Lane};
use quorate_core::ids::Ticket;

pub use files::Files;

/// Where the directories of a server are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataDirs {
    /// `dataDir/version-2`.
    pub data: PathBuf,
    /// `dataLogDir/version-2`.
    pub log: PathBuf,
    /// `dataDir/quorate`.
    pub side: PathBuf,
    /// `dataDir`.
    pub base: PathBuf,
}

impl DataDirs {
    /// The path of a directory.
    #[must_use]
    pub fn path(&self, dir: Dir) -> &PathBuf {
        match dir {
            Dir::Data => &self.data,
            Dir::Log => &self.log,
            Dir::Side => &self.side,
            Dir::Base => &self.base,
        }
    }
}

/// How an operation ended.
pub type Completion = (Ticket, Result<DiskReply, DiskError>);
type Job = (Ticket, DiskOp);

/// What waits for a lane.
#[derive(Debug, Default)]
struct Inbox {
    jobs: Vec<Job>,
    closed: bool,
}

/// What a lane and the loop share.
#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    filled: Condvar,
}

/// Completions of both lanes on their way to the loop.
#[derive(Debug)]
struct Outbound {
    done: Mutex<Vec<Completion>>,
    broken: AtomicBool,
    waker: Arc<Waker>,
}

impl Outbound {
    fn publish(&self, batch: &mut Vec<Completion>) {
        if batch.is_empty() {
            return;
        }
        let mut done = lock(&self.done);
        let was_empty = done.is_empty();
        done.append(batch);
        drop(done);
        // Whoever filled it first has woken the loop.
        if was_empty {
            self.wake();
        }
    }
    fn wake(&self) {
        // Without a loop there is nobody to tell.
        let _ = self.waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The loop's end of one lane.
#[derive(Debug)]
struct LaneHandle {
    pending: Vec<Job>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The loop's end of the lanes.
#[derive(Debug)]
pub struct Lanes {
    log: LaneHandle,
    bulk: LaneHandle,
    outbound: Arc<Outbound>,
}

impl Lanes {
    /// Starts both threads. `waker` is woken when there is something to [`Lanes::take`].
    pub fn start(dirs: &DataDirs, waker: Arc<Waker>) -> io::Result<Self> {
        let outbound = Arc::new(Outbound { done: Mutex::default(), broken: AtomicBool::new(false), waker });
        let epoch = Arc::default();
        let start = |name: &str| -> io::Result<LaneHandle> {
            let shared = Arc::<Shared>::default();
            let worker = Worker {
                files: Files::new(dirs.clone(), Arc::clone(&epoch)),
                shared: shared.clone(),
                outbound: outbound.clone(),
            };
            let thread = thread::Builder::new().name(name.into()).spawn(move || worker.run())?;
            Ok(LaneHandle { pending: Vec::new(), shared, thread: Some(thread) })
        };
        Ok(Self { log: start("log-lane")?, bulk: start("bulk-lane")?, outbound })
    }

    /// Notes an operation; [`Lanes::submit`] hands it over.
    pub fn push(&mut self, lane: Lane, ticket: Ticket, op: DiskOp) {
        match lane {
            Lane::Log => self.log.pending.push((ticket, op)),
            Lane::Bulk => self.bulk.pending.push((ticket, op)),
        }
    }

    /// Hands over what was noted.
    pub fn submit(&mut self) {
        for lane in [&mut self.log, &mut self.bulk] {
            if lane.pending.is_empty() {
                continue;
            }
            let mut inbox = lock(&lane.shared.inbox);
            if inbox.jobs.is_empty() {
                mem::swap(&mut inbox.jobs, &mut lane.pending);
            } else {
                inbox.jobs.append(&mut lane.pending);
            }
            drop(inbox);
            lane.shared.filled.notify_one();
        }
    }

    /// Moves what has ended into `into`, in the order of each lane.
    pub fn take(&self, into: &mut Vec<Completion>) {
        let mut done = lock(&self.outbound.done);
        if into.is_empty() { mem::swap(&mut *done, into) } else { into.append(&mut done) }
    }

    /// Whether a lane has died: nothing can be promised any more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.outbound.broken.load(Ordering::Acquire)
    }

    /// Lets both lanes end what they were given, for so long at most: a disk may hang.
    pub fn stop(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        for lane in [&mut self.log, &mut self.bulk] {
            lock(&lane.shared.inbox).closed = true;
            lane.shared.filled.notify_one();
        }
        for lane in [&mut self.log, &mut self.bulk] {
            let Some(thread) = lane.thread.take() else { continue };
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // A panic of the lane has been logged, and seen by `is_broken`.
                let _ = thread.join();
            }
        }
    }
}

/// How long a disk may hang before its lane is left behind.
const STOP_LIMIT: Duration = Duration::from_secs(2);

impl Drop for Lanes {
    /// Waits: whoever opens these files next must not meet a write of ours.
    fn drop(&mut self) {
        self.stop(STOP_LIMIT);
    }
}

/// A lane's thread.
struct Worker {
    files: Files,
    shared: Arc<Shared>,
    outbound: Arc<Outbound>,
}

/// Completions that are kept back at most while more of the batch is carried out.
const HELD_BACK: usize = 16;

impl Worker {
    fn run(mut self) {
        let mut jobs = Vec::new();
        let mut done = Vec::new();
        while self.next_batch(&mut jobs) {
            for (ticket, op) in jobs.drain(..) {
                // An fsync releases answers, a read goes on with the next one: others can wait for the end of the batch.
                let urgent = matches!(op, DiskOp::Fsync(_) | DiskOp::ReadRange(..));
                done.push((ticket, self.files.execute(&op)));
                if urgent || done.len() >= HELD_BACK {
                    self.outbound.publish(&mut done);
                }
            }
            self.outbound.publish(&mut done);
        }
    }

    fn next_batch(&self, jobs: &mut Vec<Job>) -> bool {
        let mut inbox = lock(&self.shared.inbox);
        while inbox.jobs.is_empty() {
            if inbox.closed {
                return false;
            }
            inbox = self.shared.filled.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(&mut inbox.jobs, jobs);
        true
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.outbound.broken.store(true, Ordering::Release);
            self.outbound.wake();
        }
    }
}
