//! What must come of a frame: client-protocol 3, 4, 6, 8 and 9.1 as predicates.

use std::collections::BTreeSet;

use quorate_core::config::PeerConfig;

use super::grammar::{self, Facts, Fields};

/// What must come next on a connection.
#[derive(Clone, PartialEq, Debug)]
pub enum Due {
    /// A ConnectResponse, with the readOnly byte iff the request had it; of this session (0: a new one).
    Handshake {
        flag: bool,
        session: i64,
        password: Vec<u8>,
    },
    /// The refusal of a word in text, or the driver's answer; then the end.
    Word([u8; 4]),
    Reply(Reply),
    /// The end, without a byte.
    End,
}

/// Which zxid the header of a reply may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderZxid {
    /// One that this server has reached, and none below an earlier reply's.
    Reached,
    Zero,
    /// -1.
    None,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    Shape(&'static str),
    /// A null token.
    NullToken,
    /// Results of these types, or all of them errors.
    Multi(Vec<i32>),
    /// A result of this type for each, or an error.
    MultiRead(Vec<i32>),
    /// Nothing, or results up to the op that was of another kind (1.4).
    Partial,
}

/// When the connection ends behind a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    Never,
    Always,
    If(i32),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    pub xid: i32,
    pub op: i32,
    /// Codes that it may have; 0 among them: without error.
    pub errs: Vec<i32>,
    pub zxid: HeaderZxid,
    pub body: Body,
    pub ends: Ends,
    /// A transaction is spent on it.
    pub consumes: bool,
}

/// Codes that any op of a multi may fail with.
pub const OP_ERRORS: &[i32] = &[-5, -6, -8, -101, -102, -103, -108, -110, -111, -112, -114, -120, -125];

const SESSION_ENDED: &[i32] = &[-112, -120];

impl Reply {
    fn of(xid: i32, op: i32, errs: &[i32]) -> Self {
        let body = Body::Shape(grammar::reply_shape(op));
        let (zxid, ends) = (HeaderZxid::Reached, Ends::Never);
        Self { xid, op, errs: errs.to_vec(), zxid, body, ends, consumes: false }
    }
    fn zxid(mut self, zxid: HeaderZxid) -> Self {
        self.zxid = zxid;
        self
    }
    fn ends(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }
    fn consuming(mut self) -> Self {
        self.consumes = true;
        self
    }
    fn or_errs(mut self, errs: &[i32]) -> Self {
        self.errs.extend_from_slice(errs);
        self
    }
}

/// The ConnectRequest of a first frame; `None`: it does not decode.
#[derive(Clone, Debug)]
pub struct Hello {
    pub seen: i64,
    pub session: i64,
    pub password: Vec<u8>,
    pub flag: bool,
}

impl Hello {
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(frame);
        fields.int()?;
        let seen = fields.long()?;
        fields.int()?;
        let session = fields.long()?;
        let password = fields.buffer()?.unwrap_or_default().to_vec();
        Some(Self { seen, session, password, flag: !fields.is_at_end() })
    }
}

/// What a connection has proved so far, as far as its frames tell.
#[derive(Clone, Default, Debug)]
pub struct Proved {
    /// An identity of the scheme digest.
    pub digest: bool,
    /// What its auth frames have claimed, each once.
    pub claims: BTreeSet<Vec<u8>>,
}

impl Proved {
    /// Bytes that the claims may take; a byte that is no text becomes three that are.
    fn bytes(&self) -> usize {
        self.claims.iter().map(|claim| 3 * claim.len() + 64).sum()
    }
}

/// What must come of a frame behind the handshake.
pub fn due(frame: &[u8], cfg: &PeerConfig, proved: &mut Proved) -> Due {
    let mut fields = Fields::new(frame);
    let (Some(xid), Some(op)) = (fields.int(), fields.int()) else { return Due::End };
    let body = &frame[8..];
    let mut facts = Facts::default();
    match op {
        100 => {
            if Fields::new(body).read("isb", &mut facts).is_none() {
                return Due::End;
            }
            return Due::Reply(auth(xid, &facts, cfg, proved));
        }
        102 => {
            if Fields::new(body).read("b", &mut facts).is_none() {
                return Due::End;
            }
            let reply = Reply::of(xid, op, &[0]).zxid(HeaderZxid::Zero);
            return Due::Reply(Reply { body: Body::NullToken, ..reply });
        }
        _ => {}
    }
    if !cfg.features.auth.enforced.is_empty() && !proved.digest {
        return Due::Reply(Reply::of(xid, op, &[-124]).zxid(HeaderZxid::Zero).ends(Ends::Always));
    }
    Due::Reply(match op {
        11 => Reply::of(-2, op, &[0]),
        -11 => {
            let reply = Reply::of(xid, op, &[0]).ends(Ends::Always);
            if cfg.features.local_sessions { reply } else { reply.consuming() }
        }
        14 => multi(xid, body, cfg),
        22 => multi_read(xid, body),
        _ => match grammar::request_shape(op).filter(|_| op != 13) {
            // 8.2; deleteContainer and createSession are not for clients (8.4).
            None => Reply::of(xid, op, &[-6]).zxid(HeaderZxid::None).ends(Ends::Always),
            Some(shape) if Fields::new(body).read(shape, &mut facts).is_none() => Reply::of(xid, op, &[-5]),
            Some(_) => single(xid, op, &facts, cfg),
        },
    })
}

fn auth(xid: i32, facts: &Facts, cfg: &PeerConfig, proved: &mut Proved) -> Reply {
    let reply = Reply::of(xid, 100, &[]).zxid(HeaderZxid::Zero).ends(Ends::If(-115));
    match facts.path.as_slice() {
        b"digest" if cfg.features.auth.digest && !facts.null_buffer => {
            proved.digest = true;
            proved.claims.insert(facts.buffer.clone());
            let full = if proved.bytes() > cfg.limits.frame_extra.min(64 << 10) { &[-115][..] } else { &[] };
            reply.or_errs(&[0]).or_errs(full)
        }
        b"ip" => reply.or_errs(&[0]),
        _ => reply.or_errs(&[-115]),
    }
}

/// Everything but multi, ping and what ends a connection, decoded.
fn single(xid: i32, op: i32, facts: &Facts, cfg: &PeerConfig) -> Reply {
    let local = if cfg.features.local_sessions { SESSION_ENDED } else { &[] };
    let reply = |errs: &[i32]| Reply::of(xid, op, errs);
    match op {
        1 | 15 | 19 | 21 if facts.null_path => reply(&[-5, -6, -8]).or_errs(local).consuming(),
        1 | 15 | 19 | 21 => {
            let ttl = matches!(facts.int, 5 | 6);
            let errs: &[i32] = if !(0..=6).contains(&facts.int) || (!ttl && op == 21) {
                // An unknown flag; opcode 21 without a TTL flag (8.4).
                &[-8]
            } else if ttl && !cfg.features.extended_types {
                &[-6]
            } else if ttl && op != 21 {
                &[-8]
            } else {
                &[0, -8, -101, -102, -108, -110, -114, -125]
            };
            let null_id = if facts.null_id { &[-5][..] } else { &[] };
            let reply = reply(errs).or_errs(null_id).or_errs(local);
            // A session that becomes global spends another one: `run` does not count where sessions are local.
            reply.consuming()
        }
        2 | 5 | 7 if facts.null_path => reply(&[-5]).consuming(),
        2 => reply(&[0, -8, -101, -102, -103, -111]).consuming(),
        5 => reply(&[0, -8, -101, -102, -103, -125]).consuming(),
        7 => {
            let null_id = if facts.null_id { &[-5][..] } else { &[] };
            reply(&[0, -8, -101, -102, -103, -114]).or_errs(null_id).consuming()
        }
        16 => reply(&[-123]).consuming(),
        9 | 101 | 103 | 105 | 107 => reply(&[0]),
        _ if facts.null_path => reply(&[-5]),
        3 => reply(&[0, -8, -101, -102]),
        4 | 6 | 8 | 12 | 104 => reply(&[0, -101, -102]),
        17 | 18 if (1..=5).contains(&facts.int) => reply(&[0, -121]),
        106 if matches!(facts.int, 0 | 1) => reply(&[0]),
        17 | 18 | 106 => reply(&[-5]),
        _ => panic!("opcode {op} is in the table"),
    }
}

fn multi(xid: i32, body: &[u8], cfg: &PeerConfig) -> Reply {
    let malformed = Reply::of(xid, 14, &[-5]).consuming();
    let Some(ops) = grammar::multi(body) else { return malformed };
    let fits = |(op, facts): &(i32, Facts)| {
        let flags = !matches!(op, 1 | 15 | 19) || (0..=4).contains(&facts.int);
        !matches!(op, 4 | 8) && !facts.null_path && flags
    };
    if !ops.iter().all(fits) {
        return malformed;
    }
    let kind = |(op, facts): &(i32, Facts)| match (op, facts.int) {
        (1, 0..=3) | (21, 0..=3) => 1,
        (1 | 15 | 19 | 21, _) => 15,
        (op, _) => *op,
    };
    let _ = cfg;
    Reply { body: Body::Multi(ops.iter().map(kind).collect()), ..Reply::of(xid, 14, &[0]).consuming() }
}

fn multi_read(xid: i32, body: &[u8]) -> Reply {
    let reply = |errs: &[i32], body| Reply { body, ..Reply::of(xid, 22, errs) };
    let Some(ops) = grammar::multi(body) else { return reply(&[-5], Body::Partial) };
    let strange = |(op, facts): &(i32, Facts)| !matches!(op, 4 | 8) || facts.null_path;
    if ops.iter().any(strange) {
        return reply(&[-5], Body::Partial);
    }
    reply(&[0], Body::MultiRead(ops.iter().map(|(op, _)| *op).collect()))
}
