//! A simulated client: one session at a time, in the bytes of the real protocol, that fails over between servers.
//!
//! As real clients do, it pings at a third of its timeout, gives a silent server up at two thirds, takes its session, its newest
//! zxid and its watches along, and starts a new session when it is told that the old one is gone.

mod hear;
mod linger;

use std::collections::{BTreeSet, VecDeque};

use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::JStr;
use quorate_core::wire::client::{ConnectRequest, ConnectResponse, Request, xid};

use crate::network::{ConnId, address_of};
use crate::node::{NEVER, host_name};
use crate::observe::Obs;
use crate::queue::Micros;
use crate::report::Who;
use crate::rng::{Purpose, Stream};
use crate::spec::{At, ExplicitOp, RunSpec};
use crate::watcher::Watcher;
use crate::workload::{Chooser, Kind, Op, sayings};
use hear::ask_of;
use linger::Left;

/// Of a thousand handshakes for a session so many come with a wrong password first.
const INTRUSIONS: u64 = 30;
/// Bytes that most requests need.
const FRAME: usize = 96;
/// Of a thousand clients so many are as old as those that know nothing of read-only servers.
const OLD: u64 = 100;
/// Of a thousand connections so many forget to say who they are where that is demanded.
const FORGETFUL: u64 = 60;
/// Of a thousand sessions of read-only servers so many are asked for again elsewhere.
const STUBBORN: u64 = 300;

/// Where a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Without a connection until then.
    Down(Micros),
    Connecting,
    Handshake,
    Attached,
    /// It does nothing any more.
    Gone,
}

/// A request in flight.
#[derive(Debug)]
struct Asked {
    /// Header and body.
    frame: Vec<u8>,
    at: Micros,
    seq: u64,
}

/// What a client wants of the network.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// Connect to this server.
    pub(crate) connect: Option<usize>,
    /// Send these bytes …
    pub(crate) send: Vec<u8>,
    /// … then close.
    pub(crate) close: bool,
    /// The same on the connection that was left.
    pub(crate) send_left: Vec<u8>,
    pub(crate) close_left: bool,
}

/// What the world lends a client.
pub(crate) struct Lent<'a, 'w> {
    pub(crate) now: Micros,
    pub(crate) watcher: &'a mut Watcher<'w>,
    pub(crate) wants: &'a mut Wants,
    /// Servers that it may attach to.
    pub(crate) servers: &'a [usize],
    /// Generated operations left for all clients.
    pub(crate) left: &'a mut u64,
    /// When that number was raised last, and in which tick.
    pub(crate) refilled: (Micros, i64),
    /// Where operations are recorded.
    pub(crate) ops: Option<&'a mut Vec<ExplicitOp>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    number: usize,
    state: State,
    pub(crate) conn: Option<ConnId>,
    /// Name of the connection in observations.
    conn_name: u64,
    attached: u64,
    node: usize,
    session: SessionId,
    password: [u8; 16],
    wanted_ms: i32,
    timeout: Micros,
    seen: Zxid,
    next_xid: i32,
    asked: VecDeque<Asked>,
    pings: u32,
    inbuf: Vec<u8>,
    heard: Micros,
    spoke: Micros,
    next_op: Micros,
    /// Operations of the scenario that are to be asked as soon as can be …
    given: VecDeque<(At, Op)>,
    /// … and those that are due at an instant, ascending.
    listed: VecDeque<(Micros, Op)>,
    /// From when on it attaches to which server, ascending.
    homes: VecDeque<(Micros, usize)>,
    home: Option<usize>,
    recorded_home: Option<usize>,
    gap: Micros,
    pipeline: usize,
    /// One-shot watches by kind (data, exist, child), then persistent and recursive ones.
    watches: [BTreeSet<String>; 5],
    chooser: Chooser,
    stream: Stream,
    /// Plans of an older number are void.
    pub(crate) turn: u32,
    pub(crate) planned: Micros,
    pub(crate) replies: u64,
    /// Leave at the next occasion; `true`: say so.
    leaving: Option<bool>,
    /// closeSession is in flight.
    closing: bool,
    /// The handshake is one with a wrong password.
    intruding: bool,
    /// It says nothing until then.
    asleep: Micros,
    /// … to begin anew afterwards.
    renewing: bool,
    /// It stands still.
    pub(crate) paused: bool,
    /// Of a thousand servers so many are left before they have answered.
    hasty: u64,
    haste: Stream,
    /// The last byte of its handshake: whether a server without a quorum will do; old clients do not have it.
    takes_read_only: Option<bool>,
    /// It is attached to a server without a quorum, and looks for another one from then on.
    read_only: Option<Micros>,
    /// What it says who it is, and whether nobody is served who does not.
    says: Vec<&'static str>,
    must_say: bool,
    /// As servers see it.
    address: String,
    manner: Stream,
    /// Of a thousand connections from which it moves on so many are kept.
    lingering: u64,
    linger: Stream,
    left: Option<Left>,
}

impl Client {
    pub(crate) fn new(spec: &RunSpec, number: usize) -> Self {
        let mut stream = Stream::new(spec.seed, Purpose::Client, number as u64);
        let g = &spec.workload.generate;
        let [low, high] = spec.timing.session_ms;
        let mut manner = Stream::new(spec.seed, Purpose::Manner, number as u64);
        let takes_read_only = match (manner.permille(OLD), manner.permille(600)) {
            (true, _) => None,
            (false, wants) => Some(wants && spec.topology.read_only),
        };
        let host = (spec.servers() + number) as u32;
        let gap = 1_000_000 * u64::from(spec.topology.clients.max(1)) / u64::from(g.rate.max(1));
        Self {
            number,
            state: State::Down(stream.below(50_000)),
            conn: None,
            conn_name: 0,
            attached: 0,
            node: 0,
            session: SessionId::NONE,
            password: [0; 16],
            wanted_ms: stream.between(low.max(1) as u64, high.max(1) as u64) as i32,
            timeout: high as u64 * 1000,
            seen: Zxid::ZERO,
            next_xid: 0,
            asked: VecDeque::new(),
            pings: 0,
            inbuf: Vec::new(),
            heard: 0,
            spoke: 0,
            next_op: 0,
            given: VecDeque::new(),
            listed: VecDeque::new(),
            homes: VecDeque::new(),
            home: None,
            recorded_home: None,
            gap,
            pipeline: g.pipeline.max(1) as usize,
            watches: Default::default(),
            chooser: Chooser::new(spec, number),
            stream,
            turn: 0,
            planned: NEVER,
            replies: 0,
            leaving: None,
            closing: false,
            intruding: false,
            asleep: 0,
            renewing: false,
            paused: false,
            hasty: u64::from(g.hasty),
            haste: Stream::new(spec.seed, Purpose::Haste, number as u64),
            takes_read_only,
            read_only: None,
            says: sayings(spec, number),
            must_say: spec.topology.enforced_auth,
            address: address_of(host, 0).to_string(),
            manner,
            // Where sessions may be local they do not move.
            lingering: if spec.topology.local_sessions { 0 } else { u64::from(g.lingering) },
            linger: Stream::new(spec.seed, Purpose::Linger, number as u64),
            left: None,
        }
    }

    /// Nothing to ask, nothing asked that is not answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_gone() || (self.asked.is_empty() && self.given.is_empty() && self.listed.is_empty())
    }
    /// Since when it waits for the oldest answer, on a connection that lives.
    pub(crate) fn waits_since(&self) -> Option<Micros> {
        let listens = self.state == State::Attached && self.asleep == 0 && !self.paused;
        self.asked.front().filter(|_| listens).map(|asked| asked.at)
    }
    /// It does nothing any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }
    /// It shall end: with closeSession, or without a word.
    pub(crate) fn leave(&mut self, with_close: bool) {
        self.leaving = Some(with_close);
    }
    /// An operation of the scenario, to be asked as soon as can be.
    pub(crate) fn give(&mut self, at: At, op: Op) {
        match op.kind {
            Kind::Attach => self.home = op.server(),
            _ => self.given.push_back((at, op)),
        }
    }
    /// An operation of the scenario that is due at this instant.
    pub(crate) fn list(&mut self, at: Micros, op: Op) {
        if op.kind == Kind::Attach {
            let behind = self.homes.partition_point(|(other, _)| *other <= at);
            op.server().into_iter().for_each(|server| self.homes.insert(behind, (at, server)));
        } else {
            let behind = self.listed.partition_point(|(other, _)| *other <= at);
            self.listed.insert(behind, (at, op));
        }
    }

    /// When it has something to do if nothing arrives.
    pub(crate) fn deadline(&self, work: bool) -> Micros {
        match self.state {
            _ if self.paused => NEVER,
            State::Gone => NEVER,
            State::Down(until) => until,
            State::Connecting | State::Handshake => self.heard + self.timeout / 3,
            State::Attached => {
                if self.asleep > 0 {
                    return self.asleep;
                }
                let keep = (self.heard + self.timeout * 2 / 3).min(self.spoke + self.timeout / 3);
                let keep = keep.min(self.read_only.unwrap_or(NEVER)).min(self.left_due());
                let room = self.asked.len() < self.pipeline && !self.closing;
                let drawn = if work { self.next_op } else { NEVER };
                let listed = self.listed.front().map_or(NEVER, |(at, _)| *at);
                let op = if room { drawn.min(listed) } else { NEVER };
                if (room && !self.given.is_empty()) || (self.leaving.is_some() && !self.closing) {
                    0
                } else {
                    keep.min(op)
                }
            }
        }
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self, lent: &mut Lent<'_, '_>) {
        let now = lent.now;
        if let Some(with_close) = self.leaving
            && (self.state != State::Attached || !with_close)
        {
            self.lost(lent);
            self.drop_left(lent);
            lent.wants.close = true;
            self.state = State::Gone;
            return;
        }
        match self.state {
            State::Gone => {}
            State::Down(until) => {
                if now >= until {
                    self.connect(lent);
                }
            }
            State::Connecting | State::Handshake => {
                if now >= self.heard + self.timeout / 3 {
                    self.give_up(lent);
                }
            }
            State::Attached => {
                if now < self.asleep {
                    return;
                }
                if self.asleep > 0 {
                    (self.asleep, self.heard, self.spoke) = (0, now, 0);
                }
                if now >= self.heard + self.timeout * 2 / 3 || self.read_only.is_some_and(|until| now >= until) {
                    self.give_up(lent);
                    return;
                }
                self.use_left(lent);
                if self.leaving.is_some() && !self.closing {
                    self.closing = true;
                    self.ask(&Op::new(Kind::Close, ""), lent);
                }
                if !self.closing {
                    self.work(lent);
                }
                if self.state == State::Attached && now >= self.spoke + self.timeout / 3 {
                    Request::Ping.encode(xid::PING, &mut lent.wants.send);
                    self.pings += 1;
                    self.spoke = now;
                }
            }
        }
    }

    fn work(&mut self, lent: &mut Lent<'_, '_>) {
        while self.asked.len() < self.pipeline && self.asleep == 0 && !self.closing && self.state == State::Attached {
            if let Some((at, op)) = self.next_of_scenario(lent.now) {
                // Drawn here too: what else this client draws must not depend on whether its operations are drawn or read.
                self.stream.any();
                self.record(&op, at, lent);
                self.ask(&op, lent);
                continue;
            }
            if lent.now < self.next_op || *lent.left == 0 {
                break;
            }
            *lent.left -= 1;
            let (refilled, tick) = lent.refilled;
            let due = if self.next_op > refilled { At::Us { us: self.next_op } } else { At::Tick { tick } };
            self.next_op = lent.now + self.stream.exponential(self.gap).max(1);
            let op = self.chooser.next();
            self.record(&op, due, lent);
            self.ask(&op, lent);
        }
    }

    /// What the scenario wants to be asked now, and when it was due.
    fn next_of_scenario(&mut self, now: Micros) -> Option<(At, Op)> {
        if let Some(given) = self.given.pop_front() {
            return Some(given);
        }
        self.listed.front().filter(|(at, _)| *at <= now)?;
        self.listed.pop_front().map(|(us, op)| (At::Us { us }, op))
    }

    /// Keeps an operation for the list that makes the same run without a generator.
    fn record(&self, op: &Op, due: At, lent: &mut Lent<'_, '_>) {
        if let Some(ops) = &mut lent.ops {
            ops.push(op.explicit(self.number, due));
        }
    }

    fn ask(&mut self, op: &Op, lent: &mut Lent<'_, '_>) {
        match op.kind {
            Kind::Move => {
                if self.linger(lent) {
                    return;
                }
                let who = Who::Client(self.number as u32);
                lent.watcher.note(who, format_args!("leaves s{}", self.node + 1));
                return self.give_up(lent);
            }
            // Longer or shorter than the session lives: its end comes before the next word, with it, or not at all.
            Kind::Nap => {
                self.asleep = lent.now + self.stream.between(self.timeout * 8 / 10, self.timeout * 14 / 10);
                return;
            }
            Kind::Renew => (self.closing, self.renewing) = (true, true),
            _ => {}
        }
        self.next_xid += 1;
        self.send(self.next_xid, |out| op.encode(out), lent);
        if op.kind == Kind::Renew && self.stream.permille(500) {
            // Too late: nothing of it may remain.
            self.next_xid += 1;
            let late = Op { flags: "e".into(), ..Op::new(Kind::Create, "/e/late") };
            self.send(self.next_xid, |out| late.encode(out), lent);
        }
    }

    fn ask_for(&mut self, xid: i32, request: &Request<'_>, lent: &mut Lent<'_, '_>) {
        let encode = |out: &mut Vec<u8>| {
            out.extend_from_slice(&request.op().to_be_bytes());
            request.encode_body(out);
        };
        self.send(xid, encode, lent);
    }

    /// Sends a frame with this opcode and body.
    fn send(&mut self, xid: i32, encode: impl FnOnce(&mut Vec<u8>), lent: &mut Lent<'_, '_>) {
        let mut frame = Vec::with_capacity(FRAME);
        frame.extend_from_slice(&xid.to_be_bytes());
        encode(&mut frame);
        lent.wants.send.extend_from_slice(&(frame.len() as i32).to_be_bytes());
        lent.wants.send.extend_from_slice(&frame);
        let (conn, client, session) = (self.conn_name, self.number, self.session);
        let seq = match ask_of(&frame) {
            (_, _, Ok(request)) => lent.watcher.tell(Obs::Asked { conn, client, session, xid, request: &request }),
            (op, body, Err(_)) => lent.watcher.tell(Obs::AskedNonsense { conn, client, xid, op, body }),
        };
        self.asked.push_back(Asked { frame, at: lent.now, seq });
        self.spoke = lent.now;
    }

    fn connect(&mut self, lent: &mut Lent<'_, '_>) {
        while let Some((_, server)) = self.homes.front().filter(|(at, _)| *at <= lent.now) {
            self.home = Some(*server);
            self.homes.pop_front();
        }
        let Some(any) = self.stream.pick(lent.servers) else { return };
        let node = self.home.filter(|home| lent.servers.contains(home)).unwrap_or(any);
        if self.recorded_home.replace(node) != Some(node) {
            self.record(&Op::new(Kind::Attach, host_name(node)), At::Us { us: lent.now }, lent);
        }
        self.node = node;
        self.heard = lent.now;
        self.state = State::Connecting;
        lent.wants.connect = Some(node);
    }

    /// The connection is made: the handshake begins.
    pub(crate) fn opened(&mut self, served_by: Option<usize>, lent: &mut Lent<'_, '_>) {
        self.node = served_by.unwrap_or(self.node);
        self.state = State::Handshake;
        self.heard = lent.now;
        self.inbuf.clear();
        self.intruding = self.session != SessionId::NONE && self.stream.permille(INTRUSIONS);
        let mut password = self.password;
        password[0] ^= u8::from(self.intruding);
        ConnectRequest {
            protocol: 0,
            last_zxid_seen: self.seen,
            timeout: self.wanted_ms,
            session: self.session,
            password: Some(&password),
            read_only: self.takes_read_only,
        }
        .encode(&mut lent.wants.send);
        if self.hasty > 0 && self.session != SessionId::NONE && self.haste.permille(self.hasty) {
            // What it has asked of this server goes on without it.
            self.give_up(lent);
            self.state = State::Down(lent.now + self.haste.below(5_000));
        }
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self, lent: &mut Lent<'_, '_>) {
        self.lost(lent);
        if self.state != State::Gone {
            self.state = State::Down(lent.now + self.stream.between(1_000, 100_000));
        }
    }

    fn give_up(&mut self, lent: &mut Lent<'_, '_>) {
        lent.wants.close = true;
        self.closed(lent);
    }

    /// What was asked stays unanswered.
    fn lost(&mut self, lent: &mut Lent<'_, '_>) {
        if self.state == State::Attached {
            lent.watcher.tell(Obs::Detached { conn: self.conn_name, client: self.number });
        }
        if self.read_only.take().is_some() && !self.manner.permille(STUBBORN) {
            // It has never seen a server with a quorum: there it begins with a session of its own.
            (self.session, self.password) = (SessionId::NONE, [0; 16]);
        }
        self.asked.clear();
        self.closing = false;
        self.asleep = 0;
        self.renewing = false;
        self.pings = 0;
        self.conn = None;
    }

    /// Bytes arrived.
    pub(crate) fn bytes(&mut self, bytes: &[u8], lent: &mut Lent<'_, '_>) {
        self.heard = lent.now;
        self.inbuf.extend_from_slice(bytes);
        let mut start = 0;
        let inbuf = std::mem::take(&mut self.inbuf);
        while self.conn.is_some() && !lent.wants.close {
            let Some(head) = inbuf.get(start..start + 4) else { break };
            let length = u32::from_be_bytes(head.try_into().expect("four bytes")) as usize;
            let Some(frame) = inbuf.get(start + 4..start + 4 + length) else { break };
            start += 4 + length;
            if self.state == State::Handshake {
                self.greeted(frame, lent);
            } else {
                self.frame(frame, lent);
            }
        }
        self.inbuf = inbuf;
        self.inbuf.drain(..start);
        if self.state == State::Attached && !lent.wants.close {
            self.work(lent);
        }
    }

    fn greeted(&mut self, frame: &[u8], lent: &mut Lent<'_, '_>) {
        let Ok(answer) = ConnectResponse::decode(frame) else { return self.give_up(lent) };
        // The last byte comes where it was sent, and nothing behind it (2.1).
        if frame.len() != 36 + usize::from(self.takes_read_only.is_some()) || frame[..4] != [0; 4] {
            let text = format!("the handshake {:?} is answered {frame:02x?}", self.takes_read_only);
            return self.distrust("C10", &text, lent);
        }
        if answer.read_only == Some(true) && self.takes_read_only != Some(true) {
            return self.distrust("C10", "a server without a quorum serves a client that did not ask for it", lent);
        }
        let (client, node) = (self.number, self.node);
        if self.intruding {
            if answer.session != SessionId::NONE {
                lent.watcher.tell(Obs::Intruded { client, node, session: answer.session });
            }
            return self.give_up(lent);
        }
        if answer.session == SessionId::NONE {
            lent.watcher.tell(Obs::Refused { client, node, session: self.session });
            self.drop_left(lent);
            self.forget();
            return self.give_up(lent);
        }
        let fresh = self.session == SessionId::NONE;
        self.session = answer.session;
        self.password = answer.password;
        self.timeout = u64::try_from(answer.timeout).unwrap_or(0).max(1) * 1000;
        self.state = State::Attached;
        self.attached += 1;
        self.conn_name = (client as u64) << 32 | self.attached;
        lent.watcher.tell(Obs::Attached {
            conn: self.conn_name,
            client,
            node,
            session: answer.session,
            timeout_ms: i64::from(answer.timeout),
            fresh,
            seen: self.seen,
            address: &self.address,
            read_only: answer.read_only == Some(true),
        });
        self.read_only = (answer.read_only == Some(true)).then(|| lent.now + self.manner.between(300_000, 3_000_000));
        self.next_op = self.next_op.max(lent.now);
        self.prove(lent);
        self.restore_watches(lent);
    }

    /// The session is over; the next one begins without anything of it.
    fn forget(&mut self) {
        self.session = SessionId::NONE;
        self.password = [0; 16];
        self.seen = Zxid::ZERO;
        self.watches = Default::default();
    }

    /// Says who it is, if it is somebody.
    fn prove(&mut self, lent: &mut Lent<'_, '_>) {
        if self.must_say && self.manner.permille(FORGETFUL) {
            return;
        }
        for said in self.says.clone() {
            let auth = Some(said.as_bytes());
            self.ask_for(xid::AUTH, &Request::Auth { scheme: Some("digest".into()), auth }, lent);
        }
    }

    /// Tells the new server which watches are left, as real clients do.
    fn restore_watches(&mut self, lent: &mut Lent<'_, '_>) {
        if self.watches.iter().all(BTreeSet::is_empty) {
            return;
        }
        let watches = std::mem::take(&mut self.watches);
        let [data, exist, child, persistent, recursive]: [Vec<JStr<'_>>; 5] =
            watches.each_ref().map(|set| set.iter().map(|p| JStr::Borrowed(p.as_str())).collect());
        let seen = self.seen.0;
        // As Java does: the old one where it will do (16, quirk 9).
        let request = if persistent.is_empty() && recursive.is_empty() {
            Request::SetWatches { seen, data, exist, child }
        } else {
            Request::SetWatches2 { seen, data, exist, child, persistent, recursive }
        };
        self.ask_for(xid::SET_WATCHES, &request, lent);
        drop(request);
        self.watches = watches;
    }
}
