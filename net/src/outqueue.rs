//! Bytes that wait to leave on one link.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use bytes::Bytes;

/// Shared bytes shorter than this are copied: one write of one buffer is cheaper than a gather.
const COPY_BELOW: usize = 4096;
/// No buffer is longer: long answers are written out of several, which are used again.
const BUFFER_FULL: usize = 64 << 10;
/// Spare buffers kept at most.
const SPARES_MAX: usize = 256;
/// Pieces in one write.
const GATHER: usize = 32;

/// Buffers out of use: idle links own none.
#[derive(Debug, Default)]
pub(crate) struct Spares(Vec<Vec<u8>>);

impl Spares {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }
    fn give(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= 2 * BUFFER_FULL && self.0.len() < SPARES_MAX {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// The queue of one link. The core bounds it by counting what has drained.
#[derive(Debug, Default)]
pub(crate) struct OutQueue {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that have left.
    sent: usize,
}

impl OutQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) fn copy(&mut self, mut bytes: &[u8], spares: &mut Spares) {
        while !bytes.is_empty() {
            if !matches!(self.chunks.back(), Some(Chunk::Own(last)) if last.len() < BUFFER_FULL) {
                self.chunks.push_back(Chunk::Own(spares.take()));
            }
            let Some(Chunk::Own(last)) = self.chunks.back_mut() else { return };
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER_FULL - last.len()));
            last.extend_from_slice(now);
            bytes = later;
        }
    }

    pub(crate) fn share(&mut self, bytes: &Bytes, spares: &mut Spares) {
        if bytes.len() < COPY_BELOW {
            self.copy(bytes, spares);
        } else {
            self.chunks.push_back(Chunk::Shared(bytes.clone()));
        }
    }

    pub(crate) fn clear(&mut self, spares: &mut Spares) {
        self.sent = 0;
        for chunk in self.chunks.drain(..) {
            if let Chunk::Own(buffer) = chunk {
                spares.give(buffer);
            }
        }
    }

    /// One write of as much as goes into it; how much left.
    pub(crate) fn write(&mut self, to: &mut impl Write, spares: &mut Spares) -> io::Result<usize> {
        let Some(first) = self.chunks.front() else { return Ok(0) };
        let first = &first.bytes()[self.sent..];
        let written = if self.chunks.len() == 1 {
            to.write(first)?
        } else {
            let mut pieces = [IoSlice::new(&[]); GATHER];
            pieces[0] = IoSlice::new(first);
            let mut count = 1;
            for (piece, chunk) in pieces[1..].iter_mut().zip(self.chunks.iter().skip(1)) {
                *piece = IoSlice::new(chunk.bytes());
                count += 1;
            }
            to.write_vectored(&pieces[..count])?
        };
        self.advance(written, spares);
        Ok(written)
    }

    fn advance(&mut self, written: usize, spares: &mut Spares) {
        self.sent += written;
        while let Some(first) = self.chunks.front()
            && self.sent >= first.bytes().len()
        {
            self.sent -= first.bytes().len();
            if let Some(Chunk::Own(buffer)) = self.chunks.pop_front() {
                spares.give(buffer);
            }
        }
        debug_assert!(!self.chunks.is_empty() || self.sent == 0, "no more leaves than was queued");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes a time.
    struct Narrow(Vec<u8>, usize);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..n]);
            Ok(n)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn order_and_count_survive_partial_writes() {
        let (mut queue, mut spares) = (OutQueue::default(), Spares::default());
        let mut expected = Vec::new();
        for i in 0..40_u8 {
            let piece = vec![i; 1 + usize::from(i) * 300];
            expected.extend_from_slice(&piece);
            if i % 3 == 0 { queue.share(&piece.into(), &mut spares) } else { queue.copy(&piece, &mut spares) }
        }
        let mut to = Narrow(Vec::new(), 777);
        let mut total = 0;
        while !queue.is_empty() {
            total += queue.write(&mut to, &mut spares).unwrap();
        }
        assert_eq!(total, expected.len());
        assert!(to.0 == expected);
    }
}
