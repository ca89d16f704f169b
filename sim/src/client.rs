//! A simulated client: one session at a time, in the bytes of the real protocol, that fails over between servers.
//!
//! As real clients do, it pings at a third of its timeout, gives a silent server up at two thirds, takes its session, its newest
//! zxid and its watches along, and starts a new session when it is told that the old one is gone.

use std::collections::{BTreeSet, VecDeque};

use quorate_core::error::ErrorCode;
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::{JStr, Reader};
use quorate_core::wire::client::{
    ConnectRequest, ConnectResponse, EventKind, ReplyHeader, Request, RequestHeader, Response, WatcherEvent, xid,
};

use crate::network::ConnId;
use crate::node::{NEVER, host_name};
use crate::observe::Obs;
use crate::queue::Micros;
use crate::report::Who;
use crate::rng::{Purpose, Stream};
use crate::spec::{At, ExplicitOp, RunSpec};
use crate::watcher::Watcher;
use crate::workload::{Chooser, Kind, Op, PEOPLE, person};

/// Of a thousand handshakes for a session so many come with a wrong password first.
const INTRUSIONS: u64 = 30;

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
}

impl Client {
    pub(crate) fn new(spec: &RunSpec, number: usize) -> Self {
        let mut stream = Stream::new(spec.seed, Purpose::Client, number as u64);
        let g = &spec.workload.generate;
        let [low, high] = spec.timing.session_ms;
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
                if now >= self.heard + self.timeout * 2 / 3 {
                    self.give_up(lent);
                    return;
                }
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
        self.send(self.next_xid, &op.request(), lent);
        if op.kind == Kind::Renew && self.stream.permille(500) {
            // Too late: nothing of it may remain.
            self.next_xid += 1;
            let late = Op { flags: "e".into(), ..Op::new(Kind::Create, "/e/late") };
            self.send(self.next_xid, &late.request(), lent);
        }
    }

    fn send(&mut self, xid: i32, request: &Request<'_>, lent: &mut Lent<'_, '_>) {
        let start = lent.wants.send.len();
        request.encode(xid, &mut lent.wants.send);
        let frame = lent.wants.send[start + 4..].to_vec();
        let (conn, client, session) = (self.conn_name, self.number, self.session);
        let seq = lent.watcher.tell(Obs::Asked { conn, client, session, xid, request });
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
            read_only: Some(false),
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
        let (client, node) = (self.number, self.node);
        if self.intruding {
            if answer.session != SessionId::NONE {
                lent.watcher.tell(Obs::Intruded { client, node, session: answer.session });
            }
            return self.give_up(lent);
        }
        if answer.session == SessionId::NONE {
            lent.watcher.tell(Obs::Refused { client, node, session: self.session });
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
        });
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
        if let Some(person) = person(self.number) {
            let auth = Some(PEOPLE[person].0.as_bytes());
            self.send(xid::AUTH, &Request::Auth { scheme: Some("digest".into()), auth }, lent);
        }
    }

    /// Tells the new server which watches are left, as real clients do.
    fn restore_watches(&mut self, lent: &mut Lent<'_, '_>) {
        if self.watches.iter().all(BTreeSet::is_empty) {
            return;
        }
        let watches = std::mem::take(&mut self.watches);
        let [data, exist, child, persistent, recursive] =
            watches.each_ref().map(|set| set.iter().map(|p| JStr::Borrowed(p.as_str())).collect());
        let seen = self.seen.0;
        let request = Request::SetWatches2 { seen, data, exist, child, persistent, recursive };
        self.send(xid::SET_WATCHES, &request, lent);
        drop(request);
        self.watches = watches;
    }

    fn frame(&mut self, frame: &[u8], lent: &mut Lent<'_, '_>) {
        let mut reader = Reader::new(frame);
        let Ok(header) = ReplyHeader::decode(&mut reader) else { return self.give_up(lent) };
        let body = &frame[ReplyHeader::LEN..];
        match header.xid {
            xid::EVENT => self.event(&header, body, lent),
            xid::PING => {
                self.pings = self.pings.saturating_sub(1);
                self.seen = self.seen.max(header.zxid);
                lent.watcher.tell(Obs::Ponged { conn: self.conn_name, client: self.number, zxid: header.zxid });
            }
            _ => self.reply(&header, body, lent),
        }
    }

    fn event(&mut self, header: &ReplyHeader, body: &[u8], lent: &mut Lent<'_, '_>) {
        let Ok(event) = WatcherEvent::decode(&mut Reader::new(body)) else { return self.give_up(lent) };
        let (conn, client, zxid, kind) = (self.conn_name, self.number, header.zxid, event.kind);
        lent.watcher.tell(Obs::Watch { conn, client, zxid, kind, path: &event.path });
        self.seen = self.seen.max(zxid);
        let spent: &[usize] = match kind {
            EventKind::Created | EventKind::DataChanged => &[0, 1],
            EventKind::Deleted => &[0, 1, 2],
            EventKind::ChildrenChanged => &[2],
        };
        spent.iter().for_each(|i| {
            self.watches[*i].remove(&*event.path);
        });
    }

    fn reply(&mut self, header: &ReplyHeader, body: &[u8], lent: &mut Lent<'_, '_>) {
        let Some(asked) = self.asked.pop_front() else { return self.give_up(lent) };
        let mut reader = Reader::new(&asked.frame);
        let Ok(head) = RequestHeader::decode(&mut reader) else { return };
        let Ok(request) = Request::decode(head.op, &asked.frame[RequestHeader::LEN..]) else { return };
        let response = (header.err == ErrorCode::Ok).then(|| Response::decode(head.op, body));
        let response = match &response {
            Some(Ok(r)) => Some(r),
            Some(Err(_)) => return self.give_up(lent),
            None => None,
        };
        self.replies += 1;
        lent.watcher.tell(Obs::Replied {
            conn: self.conn_name,
            client: self.number,
            session: self.session,
            xid: header.xid,
            request: &request,
            zxid: header.zxid,
            err: header.err,
            body: response,
            asked_ms: (asked.at / 1000) as i64,
            asked_seq: asked.seq,
        });
        self.seen = self.seen.max(header.zxid);
        self.note(&request, header.err, response);
        if matches!(request, Request::CloseSession) {
            if self.renewing && self.leaving.is_none() {
                self.forget();
                return self.give_up(lent);
            }
            self.lost(lent);
            lent.wants.close = true;
            self.state = State::Gone;
        }
    }

    /// Remembers watches and own znodes.
    fn note(&mut self, request: &Request<'_>, err: ErrorCode, response: Option<&Response<'_>>) {
        let ok = err == ErrorCode::Ok;
        let (list, path) = match request {
            Request::GetData { path: Some(path), watch: true } if ok => (0, path),
            Request::Exists { path: Some(path), watch: true } if ok => (0, path),
            Request::Exists { path: Some(path), watch: true } if err == ErrorCode::NoNode => (1, path),
            Request::GetChildren { path: Some(path), watch: true }
            | Request::GetChildren2 { path: Some(path), watch: true }
                if ok =>
            {
                (2, path)
            }
            Request::AddWatch { path: Some(path), mode } if ok => (if *mode == 1 { 4 } else { 3 }, path),
            _ => {
                if let Some(Response::Created { path, .. }) = response {
                    self.chooser.created(path);
                }
                return;
            }
        };
        self.watches[list].insert(path.to_string());
    }
}
