//! The election port: initial message and notifications (quorum-protocol section 2).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::ids::{Sid, Zxid};
use crate::jute::{Put, Reader, frame};
use crate::message::Message;
pub use crate::message::{Vote, VoterState};

/// First bytes of an election connection, initiator to acceptor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Who calls.
    pub sid: Sid,
    /// Its own election addresses; several only in the V2 form.
    pub addresses: Vec<String>,
}

const V1: i64 = -65536;
const V2: i64 = -65535;
const ADDRESS_MAX: usize = 2048;

impl Hello {
    /// Appends the V1 form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(if self.addresses.len() > 1 { V2 } else { V1 });
        out.put_i64(self.sid.0);
        out.put_string(&self.addresses.join("|"));
    }

    /// Reads a hello at the start of `buf`: it and its length, or `Ok(None)` until all of it is there.
    pub fn decode(buf: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        if buf.len() < 8 {
            return Ok(None);
        }
        let mut r = Reader::new(buf);
        let version = r.i64()?;
        if version >= 0 {
            // Before 3.5 the first long is the sid and nothing follows.
            return Ok(Some((Self { sid: Sid(version), addresses: Vec::new() }, 8)));
        }
        if version != V1 && version != V2 {
            return Err(r.error("unknown protocol version in an election hello"));
        }
        if buf.len() < 20 {
            return Ok(None);
        }
        let sid = Sid(r.i64()?);
        let len = r.i32()?;
        let Some(len) = usize::try_from(len).ok().filter(|n| (1..=ADDRESS_MAX).contains(n)) else {
            return Err(r.error("election hello with an address of impossible length"));
        };
        if buf.len() < 20 + len {
            return Ok(None);
        }
        let Ok(text) = core::str::from_utf8(r.take(len)?) else {
            return Err(r.error("election hello with an address that is not UTF-8"));
        };
        Ok(Some((Self { sid, addresses: text.split('|').map(ToString::to_string).collect() }, 20 + len)))
    }
}

/// One notification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification<'a> {
    /// Role of the sender.
    pub state: VoterState,
    /// Its vote.
    pub vote: Vote,
    /// Its logical clock.
    pub round: i64,
    /// Layout version: 0 below 3.5 (two shorter forms), 2 with configuration text.
    pub version: i32,
    /// Its configuration's text.
    pub config: Option<&'a [u8]>,
}

/// Bytes of a payload before the configuration text, in the form that we send.
const CONFIG: usize = 4 + 8 + 8 + 8 + 8 + 4 + 4;
/// Longest notification frame, in bytes (2.2).
pub const FRAME_MAX: usize = 524_288;

impl<'a> Notification<'a> {
    /// Appends the frame, length first, in the form of 3.5 and later.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, |out| {
            self.encode_head(out);
            out.put_buffer(Some(self.config.unwrap_or_default()));
        });
    }

    /// Appends all of the frame that comes before the bytes of the configuration text.
    pub fn encode_before_config(&self, out: &mut Vec<u8>) {
        let config = self.config.unwrap_or_default().len();
        out.put_len(CONFIG + config);
        self.encode_head(out);
        out.put_len(config);
    }

    /// Appends the part before the configuration text.
    fn encode_head(&self, out: &mut Vec<u8>) {
        out.put_i32(self.state as i32);
        out.put_i64(self.vote.leader.0);
        out.put_i64(self.vote.zxid.0);
        out.put_i64(self.round);
        out.put_i64(self.vote.epoch);
        out.put_i32(2);
    }

    /// As [`Notification::decode`], where what the payload says may be known.
    pub fn read(payload: &'a [u8], known: Option<(&Message, usize)>) -> Result<Option<Self>, DecodeError> {
        let Some((Message::Notification { state, vote, round }, _)) = known else { return Self::decode(payload) };
        let config = payload.get(CONFIG..);
        Ok(Some(Self { state: *state, vote: *vote, round: *round, version: 2, config }))
    }

    /// Reads a frame's payload. `Ok(None)`: to be skipped (too short, or an impossible configuration length).
    pub fn decode(payload: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        if payload.len() < 28 {
            return Ok(None);
        }
        let mut r = Reader::new(payload);
        let state = match r.i32()? {
            0 => VoterState::Looking,
            1 => VoterState::Following,
            2 => VoterState::Leading,
            3 => VoterState::Observing,
            _ => return Ok(None),
        };
        let (leader, zxid, round) = (Sid(r.i64()?), Zxid(r.i64()?), r.i64()?);
        let mut n = Self { state, vote: Vote { leader, zxid, epoch: zxid.epoch() }, round, version: 0, config: None };
        if payload.len() < 40 {
            return Ok(Some(n));
        }
        n.vote.epoch = r.i64()?;
        if payload.len() == 40 {
            return Ok(Some(n));
        }
        n.version = r.i32()?;
        if n.version > 1 {
            match r.buffer() {
                Ok(config) => n.config = config,
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_in_two_parts_is_the_same_frame() {
        let vote = Vote { leader: Sid(3), zxid: Zxid(0x5_0000_0007), epoch: 5 };
        let config = b"server.1=s1:2888:3888:participant\nversion=0";
        let n = Notification { state: VoterState::Leading, vote, round: 9, version: 2, config: Some(config) };
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        n.encode(&mut whole);
        n.encode_before_config(&mut parts);
        parts.extend_from_slice(config);
        assert_eq!(parts, whole);
    }
}
