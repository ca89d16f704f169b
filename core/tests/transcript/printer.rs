//! Bytes and actions as lines: one per message, one per disk operation, one per event.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::event::{Dir, DiskOp, Event, FileName, Port, Role, SyncKind};
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::Reader;
use quorate_core::wire::client::{
    ConnectRequest, ConnectResponse, MultiResult, ReplyHeader, Request, RequestHeader, Response, WatcherEvent,
    next_frame,
};
use quorate_core::wire::notification::{Hello, Notification, VoterState};
use quorate_core::wire::packet::{
    ForwardedRequest, LearnerInfo, Packet, decode_ack_epoch, decode_touches, kind, kind_name,
};
use quorate_core::wire::records::{Acl, StatPersisted};
use quorate_core::wire::snapshot::{SnapSink, StreamDecoder};

use crate::transcript::files;

/// Where one direction of a connection is.
pub enum View {
    Election {
        hello: bool,
    },
    Quorum,
    /// Behind a SNAP packet.
    Snapshot(Box<StreamDecoder>, Seen),
    ClientRequests {
        first: bool,
    },
    ClientReplies {
        first: bool,
    },
    /// Bytes that do not decode were sent; nothing behind them can be told.
    Lost,
}

impl View {
    pub fn new(port: Port, initiator: bool) -> Self {
        match (port, initiator) {
            (Port::Election, _) => Self::Election { hello: initiator },
            (Port::Quorum, _) => Self::Quorum,
            (Port::Client, true) => Self::ClientRequests { first: true },
            (Port::Client, false) => Self::ClientReplies { first: true },
        }
    }
}

/// What a snapshot stream held.
#[derive(Default)]
pub struct Seen {
    sessions: usize,
    paths: Vec<String>,
}

impl SnapSink for Seen {
    fn session(&mut self, _: SessionId, _: i32) -> Result<(), &'static str> {
        self.sessions += 1;
        Ok(())
    }
    fn acl(&mut self, _: i64, _: Vec<Acl<'_>>) -> Result<(), &'static str> {
        Ok(())
    }
    fn node(&mut self, path: &str, _: Option<&[u8]>, _: i64, _: &StatPersisted) -> Result<(), &'static str> {
        if !path.is_empty() && !path.starts_with("/zookeeper") {
            self.paths.push(path.into());
        }
        Ok(())
    }
}

/// One direction of a connection, as an onlooker decodes it.
pub struct Tap {
    view: View,
    held: Vec<u8>,
    /// Client connections: opcode by xid, from the other direction.
    pub ops: BTreeMap<i32, i32>,
}

impl Tap {
    pub fn new(port: Port, initiator: bool) -> Self {
        Self { view: View::new(port, initiator), held: Vec::new(), ops: BTreeMap::new() }
    }

    /// Takes bytes; gives a category and a line for every message that is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<(&'static str, String)> {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut used = 0;
        let mut lines = Vec::new();
        while used < held.len() {
            match self.one(&held[used..]) {
                Ok(Some((n, line))) => {
                    used += n;
                    lines.extend(line);
                }
                Ok(None) => break,
                Err(line) => {
                    self.view = View::Lost;
                    lines.push(line);
                    used = held.len();
                }
            }
        }
        self.held = held[used..].to_vec();
        lines
    }

    #[allow(clippy::type_complexity)]
    fn one(&mut self, buf: &[u8]) -> Result<Option<(usize, Option<(&'static str, String)>)>, (&'static str, String)> {
        match &mut self.view {
            View::Lost => Ok(Some((buf.len(), None))),
            View::Election { hello: true } => {
                let bad = |e| ("election", format!("election: bytes that are no hello ({e})"));
                let Some((hello, n)) = Hello::decode(buf).map_err(bad)? else { return Ok(None) };
                self.view = View::Election { hello: false };
                Ok(Some((n, Some(("election", format!("election hello sid={}", hello.sid))))))
            }
            View::Election { hello: false } => {
                let bad = |e| ("election", format!("election: bytes that are no frame ({e})"));
                let Some(frame) = next_frame(buf, 1 << 20).map_err(bad)? else { return Ok(None) };
                let line = match Notification::decode(frame) {
                    Ok(Some(n)) => format!("election {}", vote(&n)),
                    _ => format!("election: a frame of {} bytes that is no notification", frame.len()),
                };
                Ok(Some((4 + frame.len(), Some(("election", line)))))
            }
            View::Quorum => {
                let bad = |e| ("quorum", format!("quorum: bytes that are no packet ({e})"));
                let Some((packet, n)) = Packet::decode(buf, 16 << 20).map_err(bad)? else { return Ok(None) };
                let category = if packet.kind == kind::PING { "ping" } else { "quorum" };
                let line = (category, format!("quorum {}", quorum(&packet)));
                if packet.kind == kind::SNAP {
                    self.view = View::Snapshot(Box::default(), Seen::default());
                }
                Ok(Some((n, Some(line))))
            }
            View::Snapshot(decoder, seen) => {
                let bad = |e| ("quorum", format!("quorum: snapshot stream that does not decode ({e})"));
                let (used, _, done) = decoder.feed(buf, seen).map_err(bad)?;
                if !done {
                    return Ok((used > 0).then_some((used, None)));
                }
                let line =
                    format!("quorum   snapshot stream: {} sessions, znodes {}", seen.sessions, seen.paths.join(" "));
                self.view = View::Quorum;
                Ok(Some((used, Some(("quorum", line)))))
            }
            View::ClientRequests { first } => {
                let bad = |e| ("client", format!("client: bytes that are no frame ({e})"));
                let Some(frame) = next_frame(buf, 1 << 24).map_err(bad)? else { return Ok(None) };
                let line = if std::mem::take(first) {
                    match ConnectRequest::decode(frame) {
                        Ok(c) if c.session.0 != 0 => format!("client connect session {}", c.session),
                        Ok(c) => format!("client connect timeout {} ms", c.timeout),
                        Err(e) => format!("client: no connect request ({e})"),
                    }
                } else {
                    self.request(frame)
                };
                Ok(Some((4 + frame.len(), Some(("client", line)))))
            }
            View::ClientReplies { first } => {
                let bad = |e| ("client", format!("client: bytes that are no frame ({e})"));
                let Some(frame) = next_frame(buf, 1 << 24).map_err(bad)? else { return Ok(None) };
                let line = if std::mem::take(first) {
                    match ConnectResponse::decode(frame) {
                        Ok(c) if c.timeout == 0 => "client session expired".into(),
                        Ok(c) => format!("client connected: session {} timeout {} ms", c.session, c.timeout),
                        Err(e) => format!("client: no connect response ({e})"),
                    }
                } else {
                    self.reply(frame)
                };
                Ok(Some((4 + frame.len(), Some(("client", line)))))
            }
        }
    }

    fn request(&mut self, frame: &[u8]) -> String {
        let mut r = Reader::new(frame);
        let Ok(h) = RequestHeader::decode(&mut r) else { return "client: no request".into() };
        self.ops.insert(h.xid, h.op);
        format!("client xid {} {}", h.xid, request(h.op, r.rest()))
    }

    fn reply(&mut self, frame: &[u8]) -> String {
        let mut r = Reader::new(frame);
        let Ok(h) = ReplyHeader::decode(&mut r) else { return "client: no reply".into() };
        if h.xid == -1 {
            return match WatcherEvent::decode(&mut r) {
                Ok(e) => format!("client event {:?} {}", e.kind, e.path),
                Err(e) => format!("client: no event ({e})"),
            };
        }
        let at = format!("client reply xid {} at {}", h.xid, h.zxid);
        if h.err.code() != 0 {
            return format!("{at}: error {} ({:?})", h.err.code(), h.err);
        }
        let op = self.ops.get(&h.xid).copied().unwrap_or_default();
        match Response::decode(op, r.rest()) {
            Ok(response) => format!("{at}: {}", answer(&response)),
            Err(e) => format!("{at}: no reply to opcode {op} ({e})"),
        }
    }
}

fn answer(response: &Response<'_>) -> String {
    match response {
        Response::Created { path, .. } => format!("created {path}"),
        Response::Stat(s) => format!("stat version {} mzxid {}", s.version, s.mzxid),
        Response::Data { data, .. } => format!("data {:?}", String::from_utf8_lossy(data.unwrap_or_default())),
        Response::Names { names, .. } => format!("names {}", names.join(" ")),
        Response::Multi(results) => {
            let codes = results.iter().filter_map(|r| match r {
                MultiResult::Error(code) => Some(code.code().to_string()),
                _ => None,
            });
            let codes: Vec<String> = codes.collect();
            if codes.is_empty() {
                return format!("multi of {}", results.len());
            }
            format!("multi of {}, errors {}", results.len(), codes.join(" "))
        }
        _ => "ok".into(),
    }
}

pub fn vote(n: &Notification<'_>) -> String {
    let state = match n.state {
        VoterState::Looking => "LOOKING",
        VoterState::Following => "FOLLOWING",
        VoterState::Leading => "LEADING",
        VoterState::Observing => "OBSERVING",
    };
    let none = |v: i64, text: String| if v == i64::MIN { "none".into() } else { text };
    format!(
        "{state} for {} zxid {} epoch {} round {}",
        none(n.vote.leader.0, n.vote.leader.to_string()),
        none(n.vote.zxid.0, n.vote.zxid.to_string()),
        none(n.vote.epoch, n.vote.epoch.to_string()),
        n.round
    )
}

fn request(opcode: i32, body: &[u8]) -> String {
    match Request::decode(opcode, body) {
        Ok(Request::Create(c)) => format!("create {}", c.path.as_deref().unwrap_or("null")),
        Ok(Request::Delete { path, .. }) => format!("delete {}", path.as_deref().unwrap_or("null")),
        Ok(Request::SetData { path, .. }) => format!("setData {}", path.as_deref().unwrap_or("null")),
        Ok(Request::GetData { path, .. }) => format!("getData {}", path.as_deref().unwrap_or("null")),
        Ok(Request::Exists { path, .. }) => format!("exists {}", path.as_deref().unwrap_or("null")),
        Ok(Request::GetChildren { path, .. }) => format!("getChildren {}", path.as_deref().unwrap_or("null")),
        Ok(Request::Sync { .. }) => "sync".into(),
        Ok(Request::Ping) => "ping".into(),
        Ok(Request::CreateSession { timeout }) => format!("createSession {timeout} ms"),
        Ok(Request::CloseSession) => "closeSession".into(),
        Ok(Request::Multi(parts)) => format!("multi of {}", parts.len()),
        Ok(_) => format!("opcode {opcode}"),
        Err(_) => format!("opcode {opcode} with an undecodable body of {} bytes", body.len()),
    }
}

/// One line about a packet.
pub fn quorum(p: &Packet<'_>) -> String {
    let data = p.data.unwrap_or_default();
    let name = kind_name(p.kind);
    let broken = |what: &str| format!("{name} {} with {what}", p.zxid);
    match p.kind {
        kind::FOLLOWERINFO | kind::OBSERVERINFO => {
            let Ok(info) = LearnerInfo::decode(data) else { return broken("undecodable info") };
            let mut line = format!("{name} accepted epoch {} sid {}", p.zxid.epoch(), info.sid);
            if info.config_version != 0 {
                line += &format!(" config version {:#x}", info.config_version);
            }
            let mut rest = Reader::new(data.get(20..).unwrap_or_default());
            if rest.i32() == Ok(super::MARKER) {
                let flags = rest.i32().unwrap_or_default();
                line += [" (Quorate)", " (Quorate, doubtful)", " (Quorate, empty)"][flags as usize];
            }
            line
        }
        kind::LEADERINFO => {
            let ours = data.len() >= 8 && Reader::new(&data[4..]).i32() == Ok(super::MARKER);
            format!("{name} epoch {}{}", p.zxid.epoch(), if ours { " (Quorate)" } else { "" })
        }
        kind::ACKEPOCH => match decode_ack_epoch(p.data) {
            Ok(current) => format!("{name} current epoch {current} last zxid {}", p.zxid),
            Err(_) => broken("undecodable epoch"),
        },
        kind::PROPOSAL | kind::INFORM => format!("{name} {} {}", p.zxid, files::summary(data)),
        kind::REQUEST => match ForwardedRequest::decode(data) {
            Ok(f) => format!("{name} session {} cxid {} {}", f.session, f.cxid, request(f.op, f.body)),
            Err(_) => broken("undecodable request"),
        },
        kind::PING => match decode_touches(p.data) {
            Ok(touches) if !touches.is_empty() => {
                let list: Vec<String> = touches.iter().map(|(s, t)| format!("{s} {t} ms")).collect();
                format!("{name} {} touches {}", p.zxid, list.join(", "))
            }
            Ok(_) => format!("{name} {}{}", p.zxid, if p.data.is_some() { " echo" } else { "" }),
            Err(_) => broken("undecodable touches"),
        },
        kind::REVALIDATE => {
            let mut r = Reader::new(data);
            let session = SessionId(r.i64().unwrap_or_default());
            if r.remaining() == 1 {
                format!("{name} session {session} {}", if r.bool() == Ok(true) { "valid" } else { "invalid" })
            } else {
                format!("{name} session {session} timeout {} ms", r.i32().unwrap_or_default())
            }
        }
        kind::SYNC | kind::UPTODATE => name.into(),
        kind::NEWLEADER => format!("{name} {}", p.zxid),
        kind::ACK if p.zxid.counter() == 0 => format!("{name} {} (of NEWLEADER or UPTODATE)", p.zxid),
        _ if name == "UNKNOWN" => format!("packet of unknown type {} {}", p.kind, p.zxid),
        _ => format!("{name} {}", p.zxid),
    }
}

// ----- disk ----------------------------------------------------------------------------------------------------------

pub fn file_name(name: &FileName) -> String {
    format!("{}/{}", dir_name(name.dir), name.name)
}

fn dir_name(dir: Dir) -> &'static str {
    match dir {
        Dir::Data => "data",
        Dir::Log => "log",
        Dir::Side => "side",
        Dir::Base => "base",
    }
}

/// Category and line of a disk operation.
pub fn disk_op(op: &DiskOp) -> (&'static str, String) {
    let of = |name: &FileName| if name.name.contains("watermark") { "side" } else { "disk" };
    match op {
        DiskOp::Create(n) => (of(n), format!("create {}", file_name(n))),
        DiskOp::WriteAt(n, at, bytes) => (of(n), format!("write {} {}", file_name(n), written(n, *at, bytes))),
        DiskOp::Extend(n, len) => ("side", format!("extend {} to {len}", file_name(n))),
        DiskOp::Truncate(n, len) => (of(n), format!("truncate {} to {len}", file_name(n))),
        DiskOp::Fsync(n) => (of(n), format!("fsync {}", file_name(n))),
        DiskOp::Rename(a, b) => (of(a), format!("rename {} to {}", file_name(a), file_name(b))),
        DiskOp::Unlink(n) => (of(n), format!("unlink {}", file_name(n))),
        DiskOp::FsyncDir(Dir::Side) => ("side", "fsync directory side".into()),
        DiskOp::FsyncDir(dir) => ("disk", format!("fsync directory {}", dir_name(*dir))),
        DiskOp::ReadRange(n, at, len) => ("reads", format!("read {} at {at} up to {len}", file_name(n))),
        DiskOp::List(dir) => ("reads", format!("list {}", dir_name(*dir))),
    }
}

/// What a write writes: transactions of a log, the text of an epoch file, otherwise a length.
fn written(name: &FileName, at: u64, bytes: &[u8]) -> String {
    if name.name.contains("Epoch") {
        return format!("{:?}", String::from_utf8_lossy(bytes).trim_end());
    }
    if !name.name.starts_with("log.") {
        return format!("at {at}, {} bytes", bytes.len());
    }
    // A header in front makes the rest of any log file readable.
    let with_header = if at == 0 { bytes.to_vec() } else { [&[0; 16], bytes].concat() };
    let records = files::records(&with_header);
    let mut parts: Vec<String> = if at == 0 { vec!["header".into()] } else { Vec::new() };
    parts.extend(records.iter().map(|(_, p)| format!("{} {}", files::zxid_of(p), files::summary(p))));
    if parts.is_empty() { format!("at {at}, {} bytes", bytes.len()) } else { format!("({})", parts.join(", ")) }
}

// ----- events --------------------------------------------------------------------------------------------------------

/// Category and line of an event.
pub fn event(e: &Event) -> (&'static str, String) {
    match e {
        Event::RoleChanged { role: role @ (Role::Looking | Role::Recovering | Role::ReadOnly), .. } => {
            ("state", format!("is {}", role.name()))
        }
        Event::RoleChanged { role, epoch: 0 } => ("state", format!("is {}", role.name())),
        Event::RoleChanged { role, epoch } => ("state", format!("is {} of epoch {epoch}", role.name())),
        Event::Recovered { last_logged, applied, accepted_epoch, current_epoch, health } => (
            "state",
            format!(
                "recovered {health:?}: logged {last_logged} applied {applied} accepted {accepted_epoch} current {current_epoch}"
            ),
        ),
        Event::SyncChosen { learner, kind: SyncKind::Diff, from, .. } => {
            ("sync", format!("chooses Diff for {learner}, which stands at {from}"))
        }
        Event::SyncChosen { learner, kind, from, to } => {
            ("sync", format!("chooses {kind:?} to {to} for {learner}, which stands at {from}"))
        }
        Event::Established { epoch, last_logged } => {
            ("state", format!("is established in epoch {epoch}, initial history ends at {last_logged}"))
        }
        Event::UpToDate { epoch, applied } => ("state", format!("is up to date in epoch {epoch} at {applied}")),
        Event::SessionExpired { session, .. } => ("state", format!("expires session {session}")),
        Event::DigestMismatch { zxid, .. } => ("state", format!("DIGEST MISMATCH after {zxid}")),
        Event::Warning(text) => ("state", format!("warns: {text}")),
        Event::TreeReplaced { zxid, .. } => ("events", format!("tree replaced, now at {zxid}")),
        Event::Applied { zxid, .. } => ("applied", format!("applied {zxid}")),
        Event::Decided(zxid) => ("applied", format!("decided {zxid}")),
        Event::Proposed { zxid, .. } => ("events", format!("proposed {zxid}")),
        Event::Logged { zxid, .. } => ("events", format!("logged {zxid}")),
        Event::SnapshotTaken { zxid, .. } => ("events", format!("snapshot at {zxid} is durable")),
        Event::LinkClosed { .. } => ("closes", String::new()),
        other => ("events", format!("{other:?}")),
    }
}

/// Which categories are printed.
pub struct Shown(pub BTreeSet<&'static str>);

pub const CATEGORIES: [&str; 14] = [
    "election", "quorum", "ping", "client", "disk", "side", "reads", "events", "state", "closes", "opens", "sync",
    "applied", "flow",
];

impl Default for Shown {
    fn default() -> Self {
        Self(["quorum", "client", "disk", "state", "closes"].into())
    }
}

pub fn zxid(text: &str) -> Zxid {
    if text == "-1" {
        return Zxid::NONE;
    }
    let digits = text.strip_prefix("0x").unwrap_or_else(|| panic!("zxids are written 0x..., not {text}"));
    Zxid(i64::from_str_radix(digits, 16).unwrap_or_else(|e| panic!("{text}: {e}")))
}
