//! Keeps the incomplete end of a byte stream between two arrivals.

use alloc::vec::Vec;

use crate::message::Known;

/// Bytes that arrived but do not make a whole message yet.
#[derive(Clone, Debug, Default)]
pub struct InBuf {
    held: Vec<u8>,
}

impl InBuf {
    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }
    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
    /// Of the messages that are known to be in arriving bytes those that [`InBuf::process`] will show at these places: none while
    /// something is held.
    #[must_use]
    pub fn known_in<'a>(&self, messages: Known<'a>) -> Known<'a> {
        if self.held.is_empty() { messages } else { Known::default() }
    }
    /// Shows `decode` everything unconsumed, `bytes` last; it returns how much it consumed. The rest is kept.
    ///
    /// When nothing was held `decode` sees `bytes` itself: a whole message is never copied here.
    pub fn process<R>(&mut self, bytes: &[u8], decode: impl FnOnce(&[u8]) -> (usize, R)) -> R {
        if self.held.is_empty() {
            let (used, result) = decode(bytes);
            assert!(used <= bytes.len(), "a decoder consumes at most what it was shown");
            self.held.extend_from_slice(&bytes[used..]);
            return result;
        }
        self.held.extend_from_slice(bytes);
        let (used, result) = decode(&self.held);
        assert!(used <= self.held.len(), "a decoder consumes at most what it was shown");
        self.held.drain(..used);
        if self.held.is_empty() && self.held.capacity() > 4 << 10 {
            self.held = Vec::new();
        }
        result
    }
}
