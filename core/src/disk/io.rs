//! Operations in flight, and sequences of operations that must happen one after the other.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::disk::ReaderId;
use crate::error::DiskError;
use crate::event::{DiskOp, Lane, Outbox};
use crate::ids::{Epoch, Ticket, Zxid};

/// Whom the end of an operation concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Job {
    /// Recovery: a directory listing, by its place in the list of directories.
    List(usize),
    /// Recovery: a small file, by its place in the list of small files.
    Small(usize),
    /// A stream of reads, by its number.
    Stream(u64),
    /// The log.
    Log(LogJob),
    /// The step of the running task; the operation may find nothing to remove.
    Task {
        /// Whether it is fine that the file is gone already.
        absent_ok: bool,
    },
    /// The watermark: a slot was written, or the file synced.
    Watermark(MarkJob),
    /// The own snapshot with this number: so many bytes of body were written.
    Own(u64, usize),
    /// The incoming snapshot with this number: so many bytes of body were written.
    Incoming(u64, usize),
    /// The read of a reader.
    Reader(ReaderId),
    /// Nobody waits for it.
    Nobody,
}

/// A primitive of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LogJob {
    /// Whatever it is, its failure ends this server and its success means nothing yet.
    Step,
    /// Preallocation: its failure means nothing.
    Extend,
    /// The last operation of a group: everything of the group is durable.
    Group,
}

/// A primitive of the watermark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MarkJob {
    /// A slot was written.
    Write,
    /// A slot that counts from now on.
    Sync(usize),
}

/// Where operations go.
pub(super) struct Io<'a> {
    pub(super) out: &'a mut Outbox,
    pub(super) jobs: &'a mut BTreeMap<Ticket, Job>,
}

impl Io<'_> {
    pub(super) fn op(&mut self, lane: Lane, op: DiskOp, job: Job) -> Ticket {
        let ticket = self.out.disk(lane, op);
        self.jobs.insert(ticket, job);
        ticket
    }
}

/// What the end of a task means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Done {
    Accepted(Epoch),
    Intent(Epoch),
    Current(Epoch),
    /// The trust in this disk is written.
    Health,
    /// Recovery has written what it had to.
    Recovered,
    /// An installation that a crash had interrupted is complete.
    Resumed,
    /// What recovery found damaged is out of the way.
    Cleaned,
    /// The log ends here now.
    Truncated {
        last: Zxid,
        ok: bool,
    },
    Installed(Zxid),
}

/// Steps in order: what is in one step goes out together, the next one when all of it succeeded.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) steps: VecDeque<Vec<DiskOp>>,
    pub(super) done: Done,
}

impl Task {
    pub(super) fn new(done: Done) -> Self {
        Self { steps: VecDeque::new(), done }
    }
    /// Adds a step; nothing to do is no step.
    pub(super) fn step(mut self, ops: Vec<DiskOp>) -> Self {
        if !ops.is_empty() {
            self.steps.push_back(ops);
        }
        self
    }
}

/// Tasks on the log lane, one at a time, in the order in which they came: promises are never written out of order.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    queue: VecDeque<Task>,
    pending: usize,
}

impl Tasks {
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn push(&mut self, task: Task, io: &mut Io<'_>) {
        assert!(!task.steps.is_empty(), "a task does something, so that its end is heard of");
        self.queue.push_back(task);
        if self.pending == 0 {
            self.next(io);
        }
    }

    fn next(&mut self, io: &mut Io<'_>) {
        let Some(ops) = self.queue.front_mut().and_then(|task| task.steps.pop_front()) else { return };
        self.pending = ops.len();
        for op in ops {
            let absent_ok = matches!(op, DiskOp::Unlink(_));
            io.op(Lane::Log, op, Job::Task { absent_ok });
        }
    }

    /// One operation ended. Returns what is done now.
    pub(super) fn ended(
        &mut self,
        result: Result<(), DiskError>,
        absent_ok: bool,
        io: &mut Io<'_>,
    ) -> Result<Option<Done>, DiskError> {
        match result {
            Err(DiskError::NotFound) if absent_ok => {}
            other => other?,
        }
        assert!(self.pending > 0, "only operations of the running step end");
        self.pending -= 1;
        if self.pending > 0 {
            return Ok(None);
        }
        let over = self.queue.front().is_some_and(|task| task.steps.is_empty());
        let done = if over { self.queue.pop_front().map(|task| task.done) } else { None };
        self.next(io);
        Ok(done)
    }
}
