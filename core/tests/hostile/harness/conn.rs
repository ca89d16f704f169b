//! One connection as its client sees it: what was sent, what is owed for it, what came.

use std::collections::VecDeque;

use quorate_core::config::PeerConfig;
use quorate_core::error::CloseReason;
use quorate_core::ids::LinkId;
use quorate_core::ids::SessionId;
use quorate_core::wire::client::words;
use quorate_core::wire::password::password;

use super::expect::{self, Body, Due, Ends, HeaderZxid, Hello, OP_ERRORS, Proved, Reply};
use super::grammar;

/// Sums over all connections, for what must hold of the server as a whole.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Transactions that the requests must have spent.
    pub zxids: i64,
    /// Replies that say that something was changed.
    pub changes: u64,
    /// Handshakes that resumed a session.
    pub resumed: u64,
}

#[derive(Clone, Debug)]
pub struct Conn {
    pub link: LinkId,
    /// What was sent and makes no whole frame yet.
    input: Vec<u8>,
    greeted: bool,
    /// Nothing that follows counts.
    over: bool,
    proved: Proved,
    pub due: VecDeque<Due>,
    pub output: Vec<u8>,
    seen: i64,
    /// Once it has one.
    pub session: Option<SessionId>,
    /// A closeSession is among its frames.
    pub ending: bool,
    /// Largest frame that came.
    pub largest: usize,
}

impl Conn {
    pub fn new(link: LinkId) -> Self {
        Self {
            link,
            input: Vec::new(),
            greeted: false,
            over: false,
            proved: Proved::default(),
            due: VecDeque::new(),
            output: Vec::new(),
            seen: 0,
            session: None,
            ending: false,
            largest: 0,
        }
    }

    /// Whether nothing is owed.
    pub fn is_quit(&self) -> bool {
        self.due.is_empty() && self.output.is_empty()
    }

    // ----- what the client sends ---------------------------------------------------------------------------------

    /// These bytes are about to be delivered to a server that has reached `newest`.
    pub fn delivered(&mut self, bytes: &[u8], newest: i64, cfg: &PeerConfig, tally: &mut Tally) {
        if self.over {
            return;
        }
        self.input.extend_from_slice(bytes);
        while !self.over {
            let Some(head) = self.input.first_chunk::<4>().copied() else { return };
            if !self.greeted && words::is_word(head) {
                self.last(Due::Word(head));
                return;
            }
            let len = match usize::try_from(i32::from_be_bytes(head)) {
                Ok(len) if len <= cfg.limits.frame_max => len,
                _ => return self.last(Due::End),
            };
            if self.input.len() < 4 + len {
                return;
            }
            let rest = self.input.split_off(4 + len);
            let frame = std::mem::replace(&mut self.input, rest);
            self.frame(&frame[4..], newest, cfg, tally);
        }
    }

    fn last(&mut self, due: Due) {
        self.over = true;
        self.due.push_back(due);
    }

    fn frame(&mut self, frame: &[u8], newest: i64, cfg: &PeerConfig, tally: &mut Tally) {
        if !self.greeted {
            self.greeted = true;
            return match Hello::decode(frame) {
                Some(hello) if hello.seen <= newest => {
                    tally.zxids += i64::from(hello.session == 0 && !cfg.features.local_sessions);
                    tally.resumed += u64::from(hello.session != 0);
                    let Hello { flag, session, password, .. } = hello;
                    self.due.push_back(Due::Handshake { flag, session, password });
                }
                _ => self.last(Due::End),
            };
        }
        let due = expect::due(frame, cfg, &mut self.proved);
        if let Due::Reply(reply) = &due {
            tally.zxids += i64::from(reply.consumes);
            self.ending |= reply.op == -11;
        }
        if matches!(due, Due::End | Due::Reply(Reply { ends: Ends::Always, .. })) {
            self.last(due);
        } else {
            self.due.push_back(due);
        }
    }

    // ----- what the server sends ---------------------------------------------------------------------------------

    pub fn sent(&mut self, bytes: &[u8], reached: i64, cfg: &PeerConfig, tally: &mut Tally) {
        self.output.extend_from_slice(bytes);
        if let Some(Due::Word(word)) = self.due.front() {
            let refusal = [&word[..], words::REFUSAL.as_bytes()].concat();
            assert_eq!(self.output, refusal, "a word is refused in text");
            self.output.clear();
            return;
        }
        while let Some(head) = self.output.first_chunk::<4>().copied() {
            let len = usize::try_from(i32::from_be_bytes(head)).expect("a frame of a length");
            if self.output.len() < 4 + len {
                return;
            }
            let rest = self.output.split_off(4 + len);
            let frame = std::mem::replace(&mut self.output, rest);
            self.largest = self.largest.max(frame.len());
            self.came(&frame[4..], reached, cfg, tally);
        }
    }

    fn came(&mut self, frame: &[u8], reached: i64, cfg: &PeerConfig, tally: &mut Tally) {
        let next = self.due.front().cloned();
        if let Some(Due::Handshake { flag, session, password }) = &next {
            self.due.pop_front();
            return self.greeting(frame, *flag, *session, password, cfg);
        }
        assert!(frame.len() >= 16, "{}: a reply begins with its header: {frame:?}", self.link.0);
        let (xid, zxid) = (int(frame, 0), i64::from_be_bytes(frame[4..12].try_into().expect("8 bytes")));
        if xid == -1 && grammar::event(frame).is_some() && !is_answer(frame, next.as_ref()) {
            assert!(zxid == -1 || (0 < zxid && zxid <= reached), "an event of {zxid} at {reached}");
            assert_eq!(int(frame, 12), 0, "an event is no error");
            return;
        }
        let Some(Due::Reply(reply)) = next else { panic!("{}: surplus {frame:?}; owed is {next:?}", self.link.0) };
        self.due.pop_front();
        let err = int(frame, 12);
        assert_eq!(xid, reply.xid, "replies come in order: {reply:?}, not {frame:?}");
        assert!(reply.errs.contains(&err), "{err} is no answer to {reply:?}");
        match reply.zxid {
            HeaderZxid::Zero => assert_eq!(zxid, 0, "{reply:?}"),
            HeaderZxid::None => assert_eq!(zxid, -1, "{reply:?}"),
            HeaderZxid::Reached => {
                assert!(self.seen <= zxid && zxid <= reached, "{zxid} between {} and {reached}: {reply:?}", self.seen);
                self.seen = zxid;
            }
        }
        let changed = check_body(&reply, err, &frame[16..]);
        tally.changes += u64::from(changed);
        if reply.ends == Ends::If(err) {
            self.over = true;
            self.due.clear();
            self.due.push_back(Due::End);
        } else if reply.ends == Ends::Always {
            self.due.push_back(Due::End);
        }
    }

    fn greeting(&mut self, frame: &[u8], flag: bool, asked: i64, given: &[u8], cfg: &PeerConfig) {
        assert_eq!(frame.len(), if flag { 37 } else { 36 }, "the readOnly byte is there iff it was: {frame:?}");
        let (timeout, session) = (int(frame, 4), i64::from_be_bytes(frame[8..16].try_into().expect("8 bytes")));
        assert_eq!((int(frame, 0), int(frame, 16)), (0, 16), "protocol version, length of the password: {frame:?}");
        let secret = &frame[20..36];
        if session == 0 {
            assert_ne!(asked, 0, "a new session is granted");
            assert!(timeout == 0 && secret == [0; 16], "gone in all three ways: {frame:?}");
            self.over = true;
            self.due.clear();
            self.due.push_back(Due::End);
            return;
        }
        let timing = &cfg.timing;
        assert!((timing.min_session_ms..=timing.max_session_ms).contains(&timeout.into()), "{timeout} ms");
        assert_eq!(secret, password(SessionId(session)), "the password is of the session");
        if asked != 0 {
            assert_eq!(session, asked, "the session that was asked for");
            assert_eq!(secret, given, "nobody resumes without the password");
        }
        self.session = Some(SessionId(session));
    }

    /// The server has closed. Whether that was owed; otherwise the reason must be one that needs no frame.
    pub fn closed(&self, why: &CloseReason) -> bool {
        assert!(self.output.is_empty(), "{}: closed within a frame, {why}", self.link.0);
        matches!(self.due.front(), Some(Due::End | Due::Word(_)))
    }
}

fn int(frame: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(frame[at..at + 4].try_into().expect("4 bytes"))
}

/// A request with the xid of events is answered under that xid (1.3): then what comes looks like both.
fn is_answer(frame: &[u8], next: Option<&Due>) -> bool {
    let Some(Due::Reply(reply)) = next else { return false };
    let err = int(frame, 12);
    let body = &frame[16..];
    reply.xid == -1
        && reply.errs.contains(&err)
        && match &reply.body {
            Body::Shape(shape) => grammar::is(shape, body),
            Body::NullToken => body == [0xff; 4],
            Body::Multi(_) | Body::MultiRead(_) | Body::Partial => grammar::results(body).is_some(),
        }
}

/// Whether something was changed.
fn check_body(reply: &Reply, err: i32, body: &[u8]) -> bool {
    if err != 0 {
        let partial = reply.body == Body::Partial && grammar::results(body).is_some();
        assert!(body.is_empty() || partial, "an error has no body: {reply:?} {body:?}");
        return false;
    }
    match &reply.body {
        Body::Shape(shape) => {
            assert!(grammar::is(shape, body), "the body of {reply:?} is {shape:?}, not {body:?}");
            matches!(reply.op, 1 | 2 | 5 | 7 | 15 | 19 | 21 | -11)
        }
        Body::NullToken => {
            assert_eq!(body, [0xff; 4], "a null token");
            false
        }
        Body::Multi(kinds) => {
            let results = grammar::results(body).unwrap_or_else(|| panic!("results of {reply:?}: {body:?}"));
            assert_eq!(results.len(), kinds.len(), "a result for each op");
            let Some(failed) = results.iter().position(|(_, err)| *err != 0) else {
                assert!(results.iter().zip(kinds).all(|((kind, _), k)| kind == k), "{results:?} for {kinds:?}");
                return !kinds.is_empty();
            };
            let all_errors = results.iter().all(|(kind, _)| *kind == -1);
            let rest = results[failed + 1..].iter().all(|(_, err)| *err == -2);
            assert!(all_errors && rest && OP_ERRORS.contains(&results[failed].1), "a multi that failed: {results:?}");
            false
        }
        Body::MultiRead(kinds) => {
            let results = grammar::results(body).unwrap_or_else(|| panic!("results of {reply:?}: {body:?}"));
            let fits = |((kind, err), k): (&(i32, i32), &i32)| kind == k || (*kind == -1 && matches!(err, -101 | -102));
            assert!(results.len() == kinds.len() && results.iter().zip(kinds).all(fits), "{results:?} for {kinds:?}");
            false
        }
        Body::Partial => panic!("{reply:?} without error"),
    }
}
