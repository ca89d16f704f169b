//! Bytes in arrival order: the unread end of a connection's stream, and the bodies of requests that wait.

use alloc::vec::Vec;

/// A queue of bytes; what is at its front is contiguous. Moves each byte a bounded number of times, keeps its memory.
#[derive(Clone, Debug, Default)]
pub(super) struct ByteQueue {
    buf: Vec<u8>,
    start: usize,
}

impl ByteQueue {
    pub(super) fn len(&self) -> usize {
        self.buf.len() - self.start
    }
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.buf.len()
    }
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buf[self.start..]
    }
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }
    /// Forgets the first `n` bytes.
    pub(super) fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "only bytes that are there are consumed");
        self.start += n;
        if self.start == self.buf.len() {
            self.buf.clear();
            self.start = 0;
            if self.buf.capacity() > 64 << 10 {
                self.buf = Vec::new();
            }
        } else if self.start > self.buf.len() / 2 {
            // At most as many bytes move as were consumed since the last time.
            self.buf.drain(..self.start);
            self.start = 0;
        }
    }
}
