//! What hostile clients do, and its bytes: the input of the target `client`, the files of its corpus.

use std::fmt;

use quorate_core::config::{Features, Limits, PeerConfig, Storage, Timing};

/// Connections at a time.
pub const SLOTS: usize = 4;

/// One thing that a client does, or that happens around it.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// A ConnectRequest for a new session; with the readOnly byte or without.
    Hello {
        slot: usize,
        flag: bool,
    },
    /// A new connection that resumes the session of this slot, maybe its own; from `SLOTS` on the session that will be next, with
    /// its right password: ids are no secret.
    Resume {
        slot: usize,
        of: usize,
    },
    /// A request: this opcode, this body, the next xid.
    Request {
        slot: usize,
        op: i32,
        body: Vec<u8>,
    },
    /// A frame of these bytes; its length is right.
    Frame {
        slot: usize,
        bytes: Vec<u8>,
    },
    /// Any bytes.
    Raw {
        slot: usize,
        bytes: Vec<u8>,
    },
    /// From now on bytes are delivered in pieces of so many; 0: as they come.
    Cut(u8),
    /// So many hundreds of ms pass.
    Wait(u8),
    HangUp {
        slot: usize,
    },
    /// The client stops reading what it is sent, or goes on.
    Stall {
        slot: usize,
        stalled: bool,
    },
    /// What disks have done and what servers tell each other arrives later, or again at once.
    Hold(bool),
}

/// As source: what was found can be pasted into a test.
impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| format!("b\"{}\".to_vec()", bytes.escape_ascii());
        match self {
            Self::Hello { slot, flag } => write!(f, "Op::Hello {{ slot: {slot}, flag: {flag} }}"),
            Self::Resume { slot, of } => write!(f, "Op::Resume {{ slot: {slot}, of: {of} }}"),
            Self::Request { slot, op, body } => {
                write!(f, "Op::Request {{ slot: {slot}, op: {op}, body: {} }}", text(body))
            }
            Self::Frame { slot, bytes } => write!(f, "Op::Frame {{ slot: {slot}, bytes: {} }}", text(bytes)),
            Self::Raw { slot, bytes } => write!(f, "Op::Raw {{ slot: {slot}, bytes: {} }}", text(bytes)),
            Self::Cut(n) => write!(f, "Op::Cut({n})"),
            Self::Wait(n) => write!(f, "Op::Wait({n})"),
            Self::HangUp { slot } => write!(f, "Op::HangUp {{ slot: {slot} }}"),
            Self::Stall { slot, stalled } => write!(f, "Op::Stall {{ slot: {slot}, stalled: {stalled} }}"),
            Self::Hold(hold) => write!(f, "Op::Hold({hold})"),
        }
    }
}

/// How the server is configured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Profile(u8);

impl Profile {
    /// All there are: six configurations of a server alone, and of the follower of an ensemble.
    pub const COUNT: u8 = 12;

    pub fn new(byte: u8) -> Self {
        Self(byte % Self::COUNT)
    }
    pub fn byte(self) -> u8 {
        self.0
    }
    pub fn is_ensemble(self) -> bool {
        self.0 >= 6
    }

    pub fn config(self) -> PeerConfig {
        let timing = Timing {
            tick_ms: 2000,
            min_session_ms: 4000,
            max_session_ms: 40_000,
            // Nobody's zxids but the clients'.
            container_check_ms: 1 << 40,
            ..Timing::default()
        };
        let storage = Storage { prealloc_bytes: 0, ..Storage::default() };
        let mut features = Features::default();
        let mut limits = Limits { max_client_cnxns: 0, ..Limits::default() };
        match self.0 % 6 {
            1 => {
                features.extended_types = true;
                features.enforce_quota = true;
                features.four_letter_words = vec!["*".into()];
                features.auth.super_digest = Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into());
            }
            2 => {
                features.local_sessions = true;
                features.local_sessions_upgrading = true;
            }
            3 => features.auth.enforced = vec!["digest".into()],
            4 => {
                (limits.frame_max, limits.frame_extra, limits.outstanding, limits.client_output_bytes) =
                    (2000, 1024, 4, 2000)
            }
            5 => {
                features.auth.skip_acl = true;
                features.auth.digest = false;
                features.local_sessions = true;
            }
            _ => {}
        }
        PeerConfig { timing, storage, features, limits, seed: 7, ..PeerConfig::default() }
    }
}

/// A profile and what happens to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    pub profile: Profile,
    pub ops: Vec<Op>,
}

impl Program {
    /// Every byte string is a program: a profile, then an op each of a tag (kind in the low 4 bits, slot in the next 2) and its
    /// fields; lengths are two bytes, little endian, and end with the input at the latest.
    pub fn decode(bytes: &[u8]) -> Self {
        let Some((profile, mut rest)) = bytes.split_first() else {
            return Self { profile: Profile::new(0), ops: Vec::new() };
        };
        let mut ops = Vec::new();
        while let Some((tag, behind)) = rest.split_first() {
            rest = behind;
            let slot = usize::from(tag >> 4) % SLOTS;
            let mut byte = || {
                let (byte, behind) = rest.split_first().unwrap_or((&0, &[]));
                rest = behind;
                *byte
            };
            ops.push(match tag % 16 {
                0 => Op::Hello { slot, flag: tag & 0x40 != 0 },
                1 => Op::Resume { slot, of: usize::from(byte()) % (2 * SLOTS) },
                2 => Op::Cut(byte()),
                3 => Op::Wait(byte()),
                4 => Op::HangUp { slot },
                5 => Op::Stall { slot, stalled: tag & 0x40 != 0 },
                6 => Op::Hold(tag & 0x40 != 0),
                7 | 8 => Op::Raw { slot, bytes: take(&mut rest) },
                9 | 10 => Op::Frame { slot, bytes: take(&mut rest) },
                _ => {
                    let op = i32::from(byte() as i8);
                    Op::Request { slot, op, body: take(&mut rest) }
                }
            });
        }
        Self { profile: Profile::new(*profile), ops }
    }

    /// Bytes that decode to this program (with what does not fit its fields cut).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.profile.byte()];
        let tag = |kind: u8, slot: usize, flag: bool| kind | (slot as u8) << 4 | u8::from(flag) << 6;
        for op in &self.ops {
            match op {
                Op::Hello { slot, flag } => out.push(tag(0, *slot, *flag)),
                Op::Resume { slot, of } => out.extend([tag(1, *slot, false), *of as u8]),
                Op::Cut(n) => out.extend([2, *n]),
                Op::Wait(n) => out.extend([3, *n]),
                Op::HangUp { slot } => out.push(tag(4, *slot, false)),
                Op::Stall { slot, stalled } => out.push(tag(5, *slot, *stalled)),
                Op::Hold(hold) => out.push(tag(6, 0, *hold)),
                Op::Raw { slot, bytes } => put(&mut out, &[tag(7, *slot, false)], bytes),
                Op::Frame { slot, bytes } => put(&mut out, &[tag(9, *slot, false)], bytes),
                Op::Request { slot, op, body } => put(&mut out, &[tag(11, *slot, false), *op as u8], body),
            }
        }
        out
    }
}

fn take(rest: &mut &[u8]) -> Vec<u8> {
    let len = match rest {
        [a, b, ..] => usize::from(u16::from_le_bytes([*a, *b])),
        _ => 0,
    };
    let body = &rest[rest.len().min(2)..];
    let (taken, behind) = body.split_at(len.min(body.len()));
    *rest = behind;
    taken.to_vec()
}

fn put(out: &mut Vec<u8>, head: &[u8], bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(head);
    out.extend((bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
}
