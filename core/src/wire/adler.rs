//! Adler-32, which seals log records and snapshots (storage-format sections 3 and 4).

use core::fmt;

use simd_adler32::Adler32;

/// The checksum of what was written so far.
#[derive(Clone)]
pub struct Adler(Adler32);

impl Adler {
    /// Of nothing: 1.
    #[must_use]
    pub fn new() -> Self {
        Self(Adler32::new())
    }
    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }
    /// The checksum.
    #[must_use]
    pub fn sum(&self) -> u32 {
        self.0.finish()
    }
    /// That of these bytes alone.
    #[must_use]
    pub fn of(bytes: &[u8]) -> u32 {
        simd_adler32::adler32(&bytes)
    }
}

impl Default for Adler {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Adler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Adler({:#010x})", self.sum())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::Adler;

    #[test]
    fn known_answers() {
        // RFC 1950's definition, and the example that everybody gives.
        for (text, sum) in [("", 1), ("a", 0x0062_0062), ("Wikipedia", 0x11e6_0398)] {
            assert_eq!(Adler::of(text.as_bytes()), sum, "{text:?}");
        }
        let mut parts = Adler::new();
        parts.write(b"Wiki");
        parts.write(b"pedia");
        assert_eq!(parts.sum(), 0x11e6_0398);
    }

    #[test]
    fn it_is_what_its_definition_says_at_every_length() {
        let naive = |bytes: &[u8]| {
            let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
                let a = (a + u32::from(*byte)) % 65521;
                (a, (a + b) % 65521)
            });
            b << 16 | a
        };
        let mixed: Vec<u8> = (0u32..70_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let full = alloc::vec![0xff; 70_000];
        for len in (0..200).chain([5535, 5536, 5537, 5552, 65_535, 65_536, 65_537, 70_000]) {
            for bytes in [&mixed[..len], &full[..len]] {
                assert_eq!(Adler::of(bytes), naive(bytes), "{len} bytes");
                let mut parts = Adler::new();
                bytes.chunks(37).for_each(|part| parts.write(part));
                assert_eq!(parts.sum(), naive(bytes), "{len} bytes in parts");
            }
        }
    }
}
