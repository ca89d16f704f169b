//! Session passwords: the derivation that every server of an ensemble can verify (client-protocol 2.2).

use crate::ids::SessionId;

/// The 16 bytes of `java.util.Random(id ^ 0xB3415C00).nextBytes`.
#[must_use]
pub fn password(session: SessionId) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let seed = session.0 as u64 ^ 0xB341_5C00;
    let mut state = (seed ^ MULTIPLIER) & MASK;
    let mut out = [0; 16];
    for word in out.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        word.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_recorded_from_a_real_server() {
        assert_eq!(
            password(SessionId(0x0100_0015_a2ea_0000)),
            [0x84, 0x15, 0x4e, 0x0f, 0xc1, 0xf2, 0xd8, 0xc5, 0x02, 0x8e, 0x65, 0xf7, 0x72, 0x8b, 0x4d, 0xcf]
        );
    }
}
