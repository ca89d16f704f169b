//! One number for all actions of a server so far.

use std::fmt::{self, Write as _};

use quorate_core::event::{Action, DiskOp, Lane, Outbox};

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest(u64);

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// From here on a CRC is faster.
const LONG: usize = 128;

impl Digest {
    /// Of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0x51_7cc1_b727_220a)
    }
    /// What it is.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
    /// The part that every step of a recording carries.
    #[must_use]
    pub const fn short(self) -> [u8; 4] {
        ((self.0 >> 32) as u32).to_le_bytes()
    }
    const fn number(&mut self, n: u64) {
        let x = (self.0 ^ n).wrapping_mul(MULTIPLIER);
        self.0 = x ^ (x >> 29);
    }
    /// Folds bytes in: long ones by their CRC-32, for which processors have instructions, short ones eight at a time.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        if bytes.len() >= LONG {
            self.number(u64::from(crc32fast::hash(bytes)));
            return;
        }
        let mut words = bytes.chunks_exact(8);
        for b in &mut words {
            self.number(u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]));
        }
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        self.number(u64::from_le_bytes(last));
    }
    /// Folds in what a step asked for.
    pub fn actions(&mut self, out: &Outbox) {
        for action in out.actions() {
            match action {
                Action::Send { link, payload } => {
                    self.number(1);
                    self.number(link.0);
                    self.bytes(out.bytes_of(payload));
                }
                Action::Disk { lane, ticket, op } => {
                    self.number(if *lane == Lane::Log { 2 } else { 3 });
                    self.number(ticket.0);
                    self.disk(op);
                }
                // Seldom enough for words.
                other => {
                    self.number(4);
                    let _ = write!(self, "{other:?}");
                }
            }
        }
    }
    fn disk(&mut self, op: &DiskOp) {
        match op {
            DiskOp::WriteAt(name, at, bytes) => {
                self.number(5);
                self.number(name.dir as u64);
                self.bytes(name.name.as_bytes());
                self.number(*at);
                self.bytes(bytes);
            }
            DiskOp::Fsync(name) => {
                self.number(6);
                self.number(name.dir as u64);
                self.bytes(name.name.as_bytes());
            }
            other => {
                self.number(7);
                let _ = write!(self, "{other:?}");
            }
        }
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        for n in [0_usize, 1, 7, 8, 9, 127, 128, 129, 1000] {
            let mut bytes = vec![7; n];
            let of = |b: &[u8]| {
                let mut d = Digest::new();
                d.bytes(b);
                d
            };
            let plain = of(&bytes);
            for i in 0..n {
                bytes[i] ^= 0x10;
                assert_ne!(of(&bytes), plain, "{i} of {n}");
                bytes[i] ^= 0x10;
            }
            bytes.push(0);
            assert_ne!(of(&bytes), plain);
        }
    }
}
