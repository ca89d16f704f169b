//! A simulated and a real disk behind one interface.

use std::sync::Arc;
use std::time::Instant;

use mio::{Events, Poll, Token, Waker};
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, DiskReply, FileName, Lane};
use quorate_core::ids::Ticket;
use quorate_net::disk::Lanes;
use quorate_sim::disk::SimDisk;

use crate::{Folder, PATIENCE};

pub(crate) type Answer = Result<DiskReply, DiskError>;

/// What carries out disk operations.
pub(crate) trait Disk {
    /// Hands these to a lane, in order, and waits for their answers.
    fn run(&mut self, lane: Lane, ops: &[DiskOp]) -> Vec<Answer>;
    /// From now on this file of the log directory, which is made here, cannot grow. `false`: it cannot be brought about.
    fn fill(&mut self, file: &FileName) -> bool;
}

/// Listed in the order of their names; words of errors that nobody can rely on are gone.
pub(crate) fn plain(answer: Answer) -> Answer {
    match answer {
        Ok(DiskReply::Files(mut files)) => {
            files.sort();
            Ok(DiskReply::Files(files))
        }
        Err(DiskError::Io(_)) => Err(DiskError::Io(String::new())),
        other => other,
    }
}

pub(crate) struct Simulated(SimDisk);

impl Default for Simulated {
    fn default() -> Self {
        Self(SimDisk::new(512))
    }
}

impl Disk for Simulated {
    fn run(&mut self, _: Lane, ops: &[DiskOp]) -> Vec<Answer> {
        ops.iter().map(|op| self.0.execute(op)).collect()
    }
    fn fill(&mut self, file: &FileName) -> bool {
        self.0.execute(&DiskOp::Create(file.clone())).unwrap();
        self.0.full = true;
        true
    }
}

pub(crate) struct Real {
    lanes: Lanes,
    poll: Poll,
    next: u64,
    folder: Folder,
}

impl Default for Real {
    fn default() -> Self {
        let folder = Folder::new();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        Self { lanes: Lanes::start(&folder.dirs(), waker).unwrap(), poll, next: 0, folder }
    }
}

impl Disk for Real {
    fn run(&mut self, lane: Lane, ops: &[DiskOp]) -> Vec<Answer> {
        for (i, op) in ops.iter().enumerate() {
            self.lanes.push(lane, Ticket(self.next + i as u64), op.clone());
        }
        self.lanes.submit();
        let until = Instant::now() + PATIENCE;
        let (mut answers, mut done) = (Vec::new(), Vec::new());
        while answers.len() < ops.len() {
            assert!(Instant::now() < until, "the lane does not answer");
            self.poll.poll(&mut Events::with_capacity(4), Some(PATIENCE)).unwrap();
            self.lanes.take(&mut done);
            for (ticket, answer) in done.drain(..) {
                assert_eq!(ticket, Ticket(self.next), "completions come in order");
                self.next += 1;
                answers.push(answer);
            }
        }
        answers
    }
    fn fill(&mut self, file: &FileName) -> bool {
        assert_eq!(file.dir, Dir::Log);
        // The one device that is always full.
        let there = std::fs::metadata("/dev/full").is_ok();
        there && std::os::unix::fs::symlink("/dev/full", self.folder.dirs().log.join(&*file.name)).is_ok()
    }
}
