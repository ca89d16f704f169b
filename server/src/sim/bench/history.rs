//! What the check of a history costs: what clients asked and were told, and what was decided, without the world around it.

use std::cell::RefCell;
use std::time::Duration;

use quorate_core::error::ErrorCode;
use quorate_core::event::Event;
use quorate_core::ids::{Millis, SessionId, Zxid};
use quorate_core::wire::client::{EventKind, Request, Response};
use quorate_sim::check::{Checks, Tally};
use quorate_sim::{Check, Obs, Observation, Options, RunSpec, Verdict, Violation};

use crate::process;

/// Observations that are judged at once: the clock is looked at twice for all of them, and they are still in the processor's cache.
const BATCH: usize = 8192;

/// Where and when, for a request and its reply.
#[derive(Clone, Copy)]
struct Place {
    conn: u64,
    client: usize,
    session: SessionId,
    xid: i32,
}

/// A request that nobody holds any more.
struct Kept {
    op: i32,
    body: Vec<u8>,
}

impl Kept {
    fn of(request: &Request<'_>) -> Self {
        let mut body = Vec::new();
        request.encode_body(&mut body);
        Self { op: request.op(), body }
    }
    fn request(&self) -> Option<Request<'_>> {
        Request::decode(self.op, &self.body).ok()
    }
}

/// An answer that nobody holds any more.
struct Answer {
    zxid: Zxid,
    err: ErrorCode,
    /// Without the bytes of a znode.
    body: Option<Response<'static>>,
    data: Option<Vec<u8>>,
    asked_ms: Millis,
    asked_seq: u64,
}

impl Answer {
    fn response(&self) -> Option<Response<'_>> {
        match &self.body {
            Some(Response::Data { stat, .. }) => Some(Response::Data { data: self.data.as_deref(), stat: *stat }),
            other => other.clone(),
        }
    }
}

/// What is judged later.
enum Later {
    Server(usize, Event),
    Asked(Place, Kept),
    Replied(Place, Kept, Answer),
    Ponged { conn: u64, client: usize, zxid: Zxid },
    Watch { conn: u64, client: usize, zxid: Zxid, kind: EventKind, path: Box<str> },
}

/// The same, decoded.
enum Ready<'a> {
    Server(usize, &'a Event),
    Asked(Place, Request<'a>),
    Replied(Place, Request<'a>, &'a Answer, Option<Response<'a>>),
    Other(Obs<'a>),
}

/// Of this workload's bodies, one that borrows nothing.
fn owned(body: &Response<'_>) -> Option<(Response<'static>, Option<Vec<u8>>)> {
    Some(match body {
        Response::Empty => (Response::Empty, None),
        Response::Stat(stat) => (Response::Stat(*stat), None),
        Response::Created { path, stat } => (Response::Created { path: path.to_string().into(), stat: *stat }, None),
        Response::Data { data, stat } => (Response::Data { data: None, stat: *stat }, data.map(<[u8]>::to_vec)),
        Response::Names { names, stat } => {
            let names = names.iter().map(|n| n.to_string().into()).collect();
            (Response::Names { names, stat: *stat }, None)
        }
        _ => return None,
    })
}

/// Collects what the world reports and judges it in batches, whose time is taken.
struct Recorder {
    checks: Checks,
    kept: Vec<(Millis, u64, Later)>,
    cpu: Duration,
    judged: u64,
}

impl Recorder {
    fn judge(&mut self) -> Result<(), Violation> {
        let kept = std::mem::take(&mut self.kept);
        let ready: Vec<(Millis, u64, Ready<'_>)> = kept
            .iter()
            .filter_map(|(time_ms, seq, later)| {
                let ready = match later {
                    Later::Server(node, event) => Ready::Server(*node, event),
                    Later::Asked(place, asked) => Ready::Asked(*place, asked.request()?),
                    Later::Replied(place, asked, answer) => {
                        Ready::Replied(*place, asked.request()?, answer, answer.response())
                    }
                    Later::Ponged { conn, client, zxid } => {
                        Ready::Other(Obs::Ponged { conn: *conn, client: *client, zxid: *zxid })
                    }
                    Later::Watch { conn, client, zxid, kind, path } => {
                        Ready::Other(Obs::Watch { conn: *conn, client: *client, zxid: *zxid, kind: *kind, path })
                    }
                };
                Some((*time_ms, *seq, ready))
            })
            .collect();
        let before = process::thread_cpu();
        for (time_ms, seq, ready) in &ready {
            let what = match ready {
                Ready::Other(what) => what.clone(),
                Ready::Server(node, event) => Obs::Server { node: *node, event },
                Ready::Asked(at, request) => {
                    Obs::Asked { conn: at.conn, client: at.client, session: at.session, xid: at.xid, request }
                }
                Ready::Replied(at, request, answer, body) => Obs::Replied {
                    conn: at.conn,
                    client: at.client,
                    session: at.session,
                    xid: at.xid,
                    request,
                    zxid: answer.zxid,
                    err: answer.err,
                    body: body.as_ref(),
                    bytes: None,
                    asked_ms: answer.asked_ms,
                    asked_seq: answer.asked_seq,
                },
            };
            self.checks.observe(&Observation { time_ms: *time_ms, seq: *seq, what })?;
        }
        self.cpu += process::thread_cpu().saturating_sub(before);
        self.judged += ready.len() as u64;
        drop(ready);
        self.kept = kept;
        self.kept.clear();
        Ok(())
    }
}

/// See [`Recorder`].
struct Recording(RefCell<Recorder>);

impl Check for Recording {
    fn observe(&mut self, what: &Observation<'_>) -> Result<(), Violation> {
        let recorder = self.0.get_mut();
        let later = match &what.what {
            // Whole trees are compared by another check; where it is cheap to look is the world's to know.
            Obs::Tree { .. } | Obs::Snapshot { .. } => return Ok(()),
            Obs::Server { node, event } => Some(Later::Server(*node, (*event).clone())),
            Obs::Asked { conn, client, session, xid, request } => {
                let place = Place { conn: *conn, client: *client, session: *session, xid: *xid };
                Some(Later::Asked(place, Kept::of(request)))
            }
            Obs::Replied { conn, client, session, xid, request, zxid, err, body, asked_ms, asked_seq, .. } => {
                let place = Place { conn: *conn, client: *client, session: *session, xid: *xid };
                body.map_or(Some((None, None)), |b| owned(b).map(|(b, data)| (Some(b), data))).map(|(body, data)| {
                    let (asked_ms, asked_seq) = (*asked_ms, *asked_seq);
                    let answer = Answer { zxid: *zxid, err: *err, body, data, asked_ms, asked_seq };
                    Later::Replied(place, Kept::of(request), answer)
                })
            }
            Obs::Ponged { conn, client, zxid } => Some(Later::Ponged { conn: *conn, client: *client, zxid: *zxid }),
            Obs::Watch { conn, client, zxid, kind, path } => {
                Some(Later::Watch { conn: *conn, client: *client, zxid: *zxid, kind: *kind, path: (*path).into() })
            }
            _ => None,
        };
        match later {
            Some(later) => recorder.kept.push((what.time_ms, what.seq, later)),
            // Rare: it takes its place in the order at once.
            None => {
                recorder.judge()?;
                recorder.checks.observe(what)?;
            }
        }
        if recorder.kept.len() >= BATCH { recorder.judge() } else { Ok(()) }
    }
    fn unmet(&self, core: &[usize], writing: bool) -> Option<Violation> {
        let mut recorder = self.0.borrow_mut();
        recorder.judge().err().or_else(|| recorder.checks.unmet(core, writing))
    }
    fn undead(&self) -> Option<Violation> {
        self.0.borrow().checks.undead()
    }
    fn excuse(&self, core: &[usize]) -> Option<String> {
        self.0.borrow().checks.excuse(core)
    }
}

/// The cost of checking one history.
pub(super) struct Checked {
    pub(super) tally: Tally,
    /// Observations that were judged.
    pub(super) judged: u64,
    pub(super) cpu: Duration,
}

/// Runs `spec` for its history and checks that.
pub(super) fn check(spec: &RunSpec) -> Result<Checked, String> {
    let recorder = Recorder { checks: Checks::new(spec), kept: Vec::new(), cpu: Duration::ZERO, judged: 0 };
    let mut recording = Recording(RefCell::new(recorder));
    let outcome = quorate_sim::run(spec, &mut recording, Options::default());
    let mut recorder = recording.0.into_inner();
    let late = recorder.judge().err().or(outcome.violation);
    if outcome.verdict != Verdict::Pass || late.is_some() {
        let why = late.map(|v| format!(": {}: {}", v.invariant, v.text)).unwrap_or_default();
        return Err(format!("history: the run of seed {} ended with {}{why}", spec.seed, outcome.verdict.name()));
    }
    Ok(Checked { tally: recorder.checks.tally(), judged: recorder.judged, cpu: recorder.cpu })
}
