//! Votes for oneself among the bytes that a server sends on an election connection, for Z16.
//!
//! Read by hand (quorum-protocol section 2): the codec of `core` is what is being checked.

use quorate_core::ids::{Epoch, Sid, Zxid};

/// Behind a frame's length: state, leader, zxid, round, epoch.
const HEAD: usize = 36;

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn long(bytes: &[u8], at: usize) -> Option<i64> {
    number(bytes, at).map(i64::from_be_bytes)
}

fn length(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(i32::from_be_bytes(number(bytes, at)?)).ok()
}

/// What a server that is LOOKING says of its own history, where it votes for itself. What was sent begins with a frame, or with the
/// hello of the connection before it; the text of a configuration, behind the last frame, may be sent apart.
pub(crate) fn own_votes(bytes: &[u8], sid: Sid) -> impl Iterator<Item = (Zxid, Epoch)> {
    let hello = long(bytes, 0).is_some_and(|version| version < 0);
    let mut at = if hello { length(bytes, 16).map_or(bytes.len(), |address| 20 + address) } else { 0 };
    std::iter::from_fn(move || {
        loop {
            let frame = at + 4;
            let size = length(bytes, at).filter(|size| *size >= HEAD)?;
            let (looking, leader) = (length(bytes, frame)? == 0, long(bytes, frame + 4)?);
            let (zxid, epoch) = (long(bytes, frame + 12)?, long(bytes, frame + 28)?);
            at = frame + size;
            if looking && leader == sid.0 {
                return Some((Zxid(zxid), epoch));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use quorate_core::wire::notification::{Hello, Notification, Vote, VoterState};

    use super::*;

    #[test]
    fn votes_for_oneself_and_no_others() {
        let mut bytes = Vec::new();
        Hello { sid: Sid(2), addresses: vec!["s2:3888".into()] }.encode(&mut bytes);
        let mut say = |state, leader, counter| {
            let vote = Vote { leader: Sid(leader), zxid: Zxid::new(3, counter), epoch: 4 };
            Notification { state, vote, round: 1, version: 2, config: Some(b"text") }.encode(&mut bytes);
        };
        say(VoterState::Looking, 2, 1);
        say(VoterState::Looking, 3, 2);
        say(VoterState::Leading, 2, 3);
        say(VoterState::Looking, 2, 4);
        let own = [(Zxid::new(3, 1), 4), (Zxid::new(3, 4), 4)];
        assert_eq!(own_votes(&bytes, Sid(2)).collect::<Vec<_>>(), own);
        let apart = &bytes[..bytes.len() - 4];
        assert_eq!(own_votes(apart, Sid(2)).collect::<Vec<_>>(), own, "the text comes later");
        for cut in 0..bytes.len() {
            assert!(own_votes(&bytes[..cut], Sid(2)).count() <= 2);
        }
        assert_eq!(own_votes(b"text", Sid(2)).count(), 0);
    }
}
