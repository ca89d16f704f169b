//! Reading a file from an offset on, with several reads in flight.

use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::disk::io::{Io, Job};
use crate::error::DiskError;
use crate::event::{DiskOp, FileName, Lane};
use crate::ids::Ticket;

/// Reads in flight.
const DEPTH: usize = 4;
/// How often one range is read before it counts as unreadable.
const TRIES: u32 = 3;

#[derive(Clone, Debug)]
struct Piece {
    ticket: Ticket,
    at: u64,
    len: u64,
    bytes: Option<Bytes>,
    tries: u32,
}

/// A file on its way in. Pieces come out in order.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    id: u64,
    file: FileName,
    next: u64,
    /// Where to stop; unknown for a file that the adapter decompresses.
    end: Option<u64>,
    chunk: u64,
    pieces: VecDeque<Piece>,
    over: bool,
}

/// What a stream gives.
#[derive(Clone, Debug)]
pub(super) enum Got {
    /// Nothing yet.
    Wait,
    /// The bytes that follow, and whether they are the last.
    Bytes(Bytes, bool),
    /// The file cannot be read.
    Failed(DiskError),
}

impl Stream {
    pub(super) fn new(id: u64, file: FileName, from: u64, end: Option<u64>, chunk: usize) -> Self {
        let chunk = chunk.max(1) as u64;
        Self { id, file, next: from, end, chunk, pieces: VecDeque::new(), over: false }
    }

    /// Whether this reply belongs to this stream.
    pub(super) fn owns(&self, id: u64) -> bool {
        self.id == id
    }

    fn read(&mut self, at: u64, len: u64, io: &mut Io<'_>) -> Ticket {
        io.op(Lane::Bulk, DiskOp::ReadRange(self.file.clone(), at, len), Job::Stream(self.id))
    }

    /// Keeps reads in flight. A file without bytes is read once all the same, so that its end is heard of.
    pub(super) fn pump(&mut self, io: &mut Io<'_>) {
        while !self.over && self.pieces.len() < DEPTH {
            let len = self.end.map_or(self.chunk, |end| end.saturating_sub(self.next).min(self.chunk));
            let (at, last) = (self.next, self.end.is_some_and(|end| self.next + len >= end));
            let ticket = self.read(at, len.max(1), io);
            self.pieces.push_back(Piece { ticket, at, len, bytes: None, tries: 1 });
            self.next += len;
            self.over |= last;
        }
    }

    /// A read ended. `Some`: the file cannot be read.
    pub(super) fn ended(
        &mut self,
        ticket: Ticket,
        result: Result<Bytes, DiskError>,
        io: &mut Io<'_>,
    ) -> Option<DiskError> {
        let i = self.pieces.iter().position(|p| p.ticket == ticket)?;
        let (at, len) = (self.pieces[i].at, self.pieces[i].len);
        match result {
            Ok(mut bytes) => {
                bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
                self.pieces[i].bytes = Some(bytes);
                None
            }
            Err(DiskError::Io(_)) if self.pieces[i].tries < TRIES => {
                self.pieces[i].tries += 1;
                self.pieces[i].ticket = self.read(at, len.max(1), io);
                None
            }
            Err(e) => Some(e),
        }
    }

    /// The next piece, if it is here.
    pub(super) fn take(&mut self) -> Option<(Bytes, bool)> {
        let bytes = self.pieces.front_mut()?.bytes.take()?;
        let piece = self.pieces.pop_front().expect("just seen");
        // Fewer bytes than asked for: the file ends here.
        let short = (bytes.len() as u64) < piece.len;
        if short {
            self.over = true;
            self.pieces.clear();
        }
        Some((bytes, self.over && self.pieces.is_empty()))
    }

    /// A reply came: what is there now.
    pub(super) fn on_reply(&mut self, ticket: Ticket, result: Result<Bytes, DiskError>, io: &mut Io<'_>) -> Got {
        match self.ended(ticket, result, io) {
            Some(e) => Got::Failed(e),
            None => self.poll(io),
        }
    }

    /// What is there now.
    pub(super) fn poll(&mut self, io: &mut Io<'_>) -> Got {
        match self.take() {
            Some((bytes, end)) => {
                self.pump(io);
                Got::Bytes(bytes, end)
            }
            None => Got::Wait,
        }
    }
}
