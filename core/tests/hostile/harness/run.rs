//! Runs a program against a server and holds the server to its rules.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use quorate_core::config::PeerConfig;
use quorate_core::error::CloseReason;
use quorate_core::ids::{LinkId, SessionId, Zxid};
use quorate_core::wire::client::{ConnectRequest, Request, check_body};
use quorate_core::wire::password::password;

use super::cluster::{ClientEvent, Cluster};
use super::conn::{Conn, Tally};
use super::expect::Due;
use super::grammar::{self, Facts, Fields};
use super::meter::allocated;
use super::program::{Op, Profile, Program, SLOTS};

thread_local! {
    /// Started servers by profile: a run begins with a copy.
    static STARTED: RefCell<BTreeMap<Profile, Cluster>> = const { RefCell::new(BTreeMap::new()) };
}

fn started(profile: Profile) -> Cluster {
    STARTED.with_borrow_mut(|all| {
        let start = || {
            let mut cluster = Cluster::start(&profile.config(), profile.is_ensemble());
            first_transaction(&mut cluster);
            cluster
        };
        all.entry(profile).or_insert_with(start).clone()
    })
}

/// A session that comes and goes: only its transactions move an ensemble's zxid into the epoch.
fn first_transaction(cluster: &mut Cluster) {
    let link = cluster.open();
    let mut frames = Vec::new();
    let (seen, session) = (Zxid::ZERO, SessionId::NONE);
    let hello =
        ConnectRequest { protocol: 0, last_zxid_seen: seen, timeout: 0, session, password: None, read_only: None };
    hello.encode(&mut frames);
    let auth = Request::Auth { scheme: Some("digest".into()), auth: Some(b"u:p") };
    if cluster.peer().config().features.auth.digest {
        auth.encode(-4, &mut frames);
    }
    Request::CloseSession.encode(1, &mut frames);
    cluster.bytes(link, &frames);
    assert!(matches!(cluster.events.pop(), Some(ClientEvent::Closed(..))), "the session is closed");
    cluster.events.clear();
}

/// Bytes that a run may allocate: a bound for each byte that was delivered, sent and for each input; a count or a length that only
/// claims to be large adds nothing. The largest elements of what clients send for the fewest bytes: watches of short paths, sessions.
fn allowance(run: &Run) -> usize {
    (1 << 20) + 96 * run.delivered + 8 * run.sent + 2048 * run.cluster.steps
}

/// The connection of one slot.
struct Slot {
    conn: Conn,
    /// Bytes that wait until the server reads on.
    backlog: Vec<u8>,
    paused: bool,
    stalled: bool,
    undrained: usize,
    xid: i32,
    /// Whether the session that it asks for was in the tree when it asked.
    lived: Option<bool>,
}

struct Run {
    cfg: PeerConfig,
    ensemble: bool,
    cluster: Cluster,
    slots: [Option<Slot>; SLOTS],
    /// The session that each slot had last.
    sessions: [SessionId; SLOTS],
    /// Sessions that a client has closed.
    closed: BTreeSet<SessionId>,
    cut: usize,
    holding: bool,
    waited: bool,
    tally: Tally,
    /// At the last check: zxid and digest, tally, expired sessions.
    before: (Zxid, u64, Tally, usize),
    /// A connection ended with requests that may or may not have been read: sums mean nothing until the next check.
    unsure: bool,
    delivered: usize,
    sent: usize,
    largest: usize,
}

/// Runs a program; panics where the server breaks a rule.
pub fn run(program: &Program) {
    let cfg = program.profile.config();
    let mut cluster = started(program.profile);
    (cluster.allocated, cluster.steps) = (0, 0);
    let mut run = Run {
        cfg,
        ensemble: program.profile.is_ensemble(),
        cluster,
        slots: [const { None }; SLOTS],
        sessions: [SessionId::NONE; SLOTS],
        closed: BTreeSet::new(),
        cut: 0,
        holding: false,
        waited: false,
        tally: Tally::default(),
        before: (Zxid::ZERO, 0, Tally::default(), 0),
        unsure: true,
        delivered: 0,
        sent: 0,
        largest: 0,
    };
    run.check();
    for op in &program.ops {
        run.op(op);
        run.collect();
        run.check();
    }
    run.finish();
}

impl Run {
    fn op(&mut self, op: &Op) {
        match op {
            Op::Hello { slot, flag } => self.hello(*slot, SessionId::NONE, flag.then_some(false)),
            Op::Resume { slot, of } => {
                let guess = i64::from(*of >= SLOTS);
                let session = SessionId(self.sessions[*of % SLOTS].0.wrapping_add(guess));
                self.hello(*slot, session, Some(true));
            }
            Op::Request { slot, op, body } => {
                self.greet(*slot);
                let Some(s) = &mut self.slots[*slot] else { return };
                s.xid += 1;
                let frame = [&s.xid.to_be_bytes()[..], &op.to_be_bytes(), body].concat();
                self.send(*slot, &framed(&frame));
            }
            Op::Frame { slot, bytes } => {
                self.greet(*slot);
                self.send(*slot, &framed(bytes));
            }
            Op::Raw { slot, bytes } => self.send(*slot, bytes),
            Op::Cut(n) => self.cut = usize::from(*n),
            Op::Wait(n) => {
                self.hold(false);
                self.waited = true;
                self.cluster.advance(i64::from(*n) * 100);
            }
            Op::HangUp { slot } => self.hang_up(*slot),
            Op::Stall { slot, stalled } => self.stall(*slot, *stalled),
            Op::Hold(hold) => self.hold(*hold),
        }
    }

    fn hello(&mut self, slot: usize, session: SessionId, read_only: Option<bool>) {
        self.hang_up(slot);
        self.open(slot);
        let secret = password(session);
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout: 10_000,
            session,
            password: Some(&secret),
            read_only,
        };
        let mut frame = Vec::new();
        request.encode(&mut frame);
        self.send(slot, &frame);
    }

    /// Sees to it that requests make sense on this connection.
    fn greet(&mut self, slot: usize) {
        if self.slots[slot].is_none() {
            self.hello(slot, SessionId::NONE, Some(false));
        }
    }

    fn open(&mut self, slot: usize) {
        let link = self.cluster.open();
        let conn = Conn::new(link);
        self.slots[slot] =
            Some(Slot { conn, backlog: Vec::new(), paused: false, stalled: false, undrained: 0, xid: 0, lived: None });
    }

    fn hang_up(&mut self, slot: usize) {
        if let Some(gone) = self.slots[slot].take() {
            self.cluster.hang_up(gone.conn.link);
            self.forget(&gone.conn);
            self.collect();
        }
    }

    fn stall(&mut self, slot: usize, stalled: bool) {
        let Some(s) = &mut self.slots[slot] else { return };
        s.stalled = stalled;
        if !stalled && s.undrained > 0 {
            let (link, n) = (s.conn.link, std::mem::take(&mut s.undrained));
            self.cluster.drained(link, n);
        }
    }

    fn hold(&mut self, hold: bool) {
        self.holding = hold;
        self.cluster.hold(hold);
        self.collect();
    }

    fn send(&mut self, slot: usize, bytes: &[u8]) {
        if self.slots[slot].is_none() {
            self.open(slot);
        }
        if let Some(s) = &mut self.slots[slot] {
            s.backlog.extend_from_slice(bytes);
        }
        self.pump(slot);
        self.collect();
    }

    /// Delivers what waits, as long as the server reads. Returns whether there was something.
    fn pump(&mut self, slot: usize) -> bool {
        let mut any = false;
        while let Some(s) = &mut self.slots[slot]
            && !s.paused
            && !s.backlog.is_empty()
        {
            let n = if self.cut == 0 { s.backlog.len() } else { s.backlog.len().min(self.cut) };
            let piece: Vec<u8> = s.backlog.drain(..n).collect();
            self.delivered += n;
            let front = self.cluster.peer().front();
            let newest = front.serving().expect("it serves").min_seen.max(self.cluster.peer().tree().last_zxid());
            s.conn.delivered(&piece, newest.0, &self.cfg, &mut self.tally);
            if let Some(Due::Handshake { session, .. }) = s.conn.due.front() {
                let sessions = self.cluster.peer().tree().sessions();
                s.lived.get_or_insert_with(|| sessions.contains_key(&SessionId(*session)));
            }
            let link = s.conn.link;
            self.cluster.bytes(link, &piece);
            any = true;
            self.take_events();
        }
        any
    }

    /// Hands over what came of it all, until nothing more does.
    fn collect(&mut self) {
        loop {
            let mut any = !self.cluster.events.is_empty();
            self.take_events();
            for slot in 0..SLOTS {
                any |= self.pump(slot);
            }
            if !any {
                return;
            }
        }
    }

    fn take_events(&mut self) {
        while !self.cluster.events.is_empty() {
            for event in std::mem::take(&mut self.cluster.events) {
                self.event(event);
            }
        }
    }

    fn slot(&mut self, link: LinkId) -> Option<usize> {
        self.slots.iter().position(|s| s.as_ref().is_some_and(|s| s.conn.link == link))
    }

    fn event(&mut self, event: ClientEvent) {
        let (ClientEvent::Sent(link, _)
        | ClientEvent::Closed(link, _)
        | ClientEvent::Pause(link)
        | ClientEvent::Resume(link)
        | ClientEvent::Word(link)) = event;
        let Some(slot) = self.slot(link) else { panic!("{event:?} on a link that is closed") };
        let s = self.slots[slot].as_mut().expect("just found");
        match event {
            ClientEvent::Sent(_, bytes) => {
                self.sent += bytes.len();
                let reached = self.cluster.peer().tree().last_zxid();
                s.conn.sent(&bytes, reached.0, &self.cfg, &mut self.tally);
                self.largest = self.largest.max(s.conn.largest);
                if let Some(session) = s.conn.session {
                    self.sessions[slot] = session;
                }
                if s.stalled {
                    s.undrained += bytes.len();
                } else {
                    self.cluster.drained(link, bytes.len());
                }
            }
            ClientEvent::Pause(_) => s.paused = true,
            ClientEvent::Resume(_) => s.paused = false,
            ClientEvent::Closed(_, why) => {
                let gone = self.slots[slot].take().expect("just found");
                if gone.conn.ending {
                    self.closed.extend(gone.conn.session);
                }
                if !gone.conn.closed(&why) {
                    self.assert_excused(&gone, &why);
                }
                self.forget(&gone.conn);
            }
            ClientEvent::Word(_) => {
                let gone = self.slots[slot].take().expect("just found");
                assert!(gone.conn.closed(&CloseReason::Done), "a word is asked for");
            }
        }
    }

    /// Reasons to close that no frame of this connection gives.
    fn assert_excused(&self, gone: &Slot, why: &CloseReason) {
        let ended = |s: &SessionId| self.cluster.expired.contains(s) || self.closed.contains(s);
        let excused = match why {
            CloseReason::Timeout(_) => self.waited,
            CloseReason::Replaced => self.tally.resumed > 0,
            CloseReason::TooSlow => gone.stalled,
            // Also where its session ended while the leader was asked whether it lives: it is closed like any other of it.
            CloseReason::Done => match gone.conn.due.front() {
                Some(Due::Handshake { session, .. }) => gone.lived == Some(true) && ended(&SessionId(*session)),
                _ => gone.conn.session.as_ref().is_some_and(ended),
            },
            _ => false,
        };
        assert!(excused, "closed ({why}) while {:?} was owed", gone.conn.due);
    }

    fn forget(&mut self, gone: &Conn) {
        if gone.ending {
            self.closed.extend(gone.session);
        }
        self.unsure |= !gone.due.is_empty();
    }

    // ----- what must hold ----------------------------------------------------------------------------------------

    fn check(&mut self) {
        assert!(self.cluster.serves(), "nothing of this ends a term");
        let (used, allowed) = (self.cluster.allocated, allowance(self));
        assert!(used <= allowed, "{used} bytes allocated, {allowed} allowed: {} came", self.delivered);
        let limits = &self.cfg.limits;
        for c in self.cluster.peer().front().connections() {
            assert!(c.queued <= 4097, "{c:?}");
            // Reads wait while the client takes nothing; what is answered even so is what waits behind a write, and events.
            let bound = 17 * limits.client_output_bytes + (c.queued + 20) * self.largest.max(64);
            assert!(c.undrained <= bound, "{bound} < {c:?}");
        }
        let stalled = self.slots.iter().flatten().any(|s| s.stalled);
        if self.holding || stalled {
            return;
        }
        for s in self.slots.iter().flatten() {
            assert!(!s.paused && s.backlog.is_empty(), "{}: is not read from, and nothing is under way", s.conn.link.0);
            assert!(s.conn.is_quit(), "{}: still owed is {:?}", s.conn.link.0, s.conn.due);
        }
        let tree = self.cluster.leader().tree();
        if self.ensemble {
            let own = self.cluster.peer().tree();
            assert_eq!((own.last_zxid(), own.digest()), (tree.last_zxid(), tree.digest()), "leader and follower");
        }
        let now = (tree.last_zxid(), tree.digest(), self.tally, self.cluster.expired.len());
        let (zxid, digest, tally, expired) = std::mem::replace(&mut self.before, now);
        if std::mem::take(&mut self.unsure) {
            return;
        }
        if !self.cfg.features.local_sessions {
            let spent = now.2.zxids - tally.zxids + (now.3 - expired) as i64;
            assert_eq!(now.0.0 - zxid.0, spent, "zxids that the requests spend");
        }
        if now.2.changes == tally.changes && now.3 == expired && !self.cfg.features.local_sessions {
            assert_eq!(now.1, digest, "what is refused changes nothing");
        }
    }

    /// Everybody goes; what is left is what a server without clients holds.
    fn finish(mut self) {
        self.hold(false);
        for slot in 0..SLOTS {
            self.stall(slot, false);
            self.collect();
        }
        self.check();
        for slot in 0..SLOTS {
            self.hang_up(slot);
        }
        let peer = self.cluster.peer();
        let front = peer.front();
        assert_eq!((front.connection_count(), front.outstanding(), peer.watches().count()), (0, 0, 0));
        if self.ensemble {
            return;
        }
        self.cluster.advance(100_000);
        let peer = self.cluster.peer();
        let tree = peer.tree();
        assert_eq!((tree.sessions().len(), tree.ephemeral_count(), peer.front().local_session_count()), (0, 0, 0));
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as i32).to_be_bytes()[..], bytes].concat()
}

/// One request on a connection of its own, seen by the decoder and by a server: a profile, an opcode, a body.
pub fn request(bytes: &[u8]) {
    let [profile, op, body @ ..] = bytes else { return };
    let op = i32::from(*op as i8);
    decoders_agree(op, body);
    let request = Op::Request { slot: 0, op, body: body.to_vec() };
    let set_up = [
        (1, "/a", &b"\0\0\0\x01d\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone\0\0\0\0"[..]),
        (1, "/a/b", &b"\0\0\0\x01d\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone\0\0\0\0"[..]),
        (106, "/a", &b"\0\0\0\x01"[..]),
    ];
    let set_up = set_up.map(|(op, path, rest)| {
        let body = [&(path.len() as i32).to_be_bytes()[..], path.as_bytes(), rest].concat();
        Op::Request { slot: 0, op, body }
    });
    let auth = Op::Request { slot: 0, op: 100, body: b"\0\0\0\0\0\0\0\x06digest\0\0\0\x03u:p".to_vec() };
    let profile = Profile::new(*profile);
    let ops = if profile.config().features.auth.digest { vec![auth] } else { Vec::new() };
    run(&Program { profile, ops: ops.into_iter().chain(set_up).chain([request.clone(), request]).collect() });
}

/// The decoder of `core` and the tables of the protocol's page read the same bodies, and what is written again is read alike.
fn decoders_agree(op: i32, body: &[u8]) {
    let (decoded, used) = allocated(|| Request::decode(op, body).ok());
    assert!(used <= 1024 + 64 * body.len(), "{used} bytes allocated for {} of opcode {op}", body.len());
    let agreed = match op {
        14 | 22 => grammar::multi(body).is_some(),
        // As an op of a multi, and as what a server asks for itself.
        13 => Fields::new(body).read("si", &mut Facts::default()).is_some(),
        20 => Fields::new(body).read("s", &mut Facts::default()).is_some(),
        -10 => Fields::new(body).read("i", &mut Facts::default()).is_some(),
        _ => grammar::request_shape(op)
            .is_some_and(|shape| Fields::new(body).read(shape, &mut Facts::default()).is_some()),
    };
    assert_eq!(decoded.is_some(), agreed, "opcode {op}: {body:?}");
    let Some(request) = decoded else { return };
    assert!(check_body(op, body).is_ok(), "what decodes passes the check: opcode {op}, {body:?}");
    let mut again = Vec::new();
    request.encode_body(&mut again);
    assert_eq!(Request::decode(op, &again).as_ref(), Ok(&request), "opcode {op}: {body:?}");
}
