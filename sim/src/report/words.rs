//! Events of the core, observations, faults and disk operations in words.

use quorate_core::error::{DiskError, ErrorCode};
use quorate_core::event::{Dir, DiskOp, Event, FileName, Halt, Role};
use quorate_core::ids::Zxid;
use quorate_core::wire::client::{Request, Response};
use quorate_core::wire::txn::{Txn, decode_record};

use super::fact::{Fact, Kind, Who, epoch_text, zxid_text};
use super::standing::ROLES;
use crate::observe::{Down, Obs};
use crate::queue::Micros;
use crate::spec::Explicit;

const fn role_number(role: Role) -> usize {
    match role {
        Role::Recovering => 0,
        Role::Looking => 1,
        Role::Following => 2,
        Role::Leading => 3,
        Role::Observing => 4,
        Role::ReadOnly => 5,
        Role::Standalone => 6,
    }
}

/// What a server reports. `None`: of no interest to a reader.
pub(super) fn event(at: Micros, node: usize, event: &Event) -> Option<Fact> {
    let z = zxid_text;
    let (kind, numbers, text) = match event {
        Event::Recovered { last_logged, applied, accepted_epoch, current_epoch, health } => (
            Kind::Recovered,
            [last_logged.0, applied.0, *accepted_epoch, *current_epoch],
            format!(
                "has recovered a log up to {}, tree at {}, acceptedEpoch {accepted_epoch}, currentEpoch {current_epoch}, {health:?}",
                z(*last_logged),
                z(*applied)
            ),
        ),
        Event::RoleChanged { role, epoch } => {
            let number = role_number(*role);
            (Kind::Role, [number as i64, *epoch, 0, 0], format!("is {} in {}", ROLES[number], epoch_text(*epoch)))
        }
        Event::ElectionStarted { round, zxid, epoch } => (
            Kind::ElectionStarted,
            [*epoch, zxid.0, 0, 0],
            format!(
                "begins round {round} of an election: votes for itself with {} of {}",
                z(*zxid),
                epoch_text(*epoch)
            ),
        ),
        Event::Elected { leader, took_ms } => {
            (Kind::Elected, [leader.0, 0, 0, 0], format!("has found the leader s{leader} after {took_ms} ms"))
        }
        Event::EpochAccepted(epoch) => {
            (Kind::EpochAccepted, [*epoch, 0, 0, 0], format!("acceptedEpoch {epoch} is durable"))
        }
        Event::EpochCurrent(epoch) => {
            (Kind::EpochCurrent, [*epoch, 0, 0, 0], format!("currentEpoch {epoch} is durable"))
        }
        Event::EpochAcked(epoch) => (Kind::EpochAcked, [*epoch, 0, 0, 0], format!("sends ACKEPOCH of epoch {epoch}")),
        Event::SyncChosen { learner, kind, from, to } => (
            Kind::SyncChosen,
            [to.0, learner.0, 0, 0],
            format!(
                "synchronises s{learner} by {}: from {} to {}",
                format!("{kind:?}").to_uppercase(),
                z(*from),
                z(*to)
            ),
        ),
        Event::NewLeaderAcked { epoch, last_logged } => (
            Kind::NewLeaderAcked,
            [*epoch, last_logged.0, 0, 0],
            format!("sends ACK(NEWLEADER) of epoch {epoch}, its log ends at {}", z(*last_logged)),
        ),
        Event::Established { epoch, last_logged } => (
            Kind::Established,
            [*epoch, last_logged.0, 0, 0],
            format!("is established as leader of epoch {epoch}, its history ends at {}", z(*last_logged)),
        ),
        Event::UpToDate { epoch, applied } => (
            Kind::UpToDate,
            [*epoch, applied.0, 0, 0],
            format!("is up to date in epoch {epoch} and serves, tree at {}", z(*applied)),
        ),
        Event::Proposed { zxid, hash, record } => (
            Kind::Proposed,
            [zxid.0, 0, 0, 0],
            format!("proposes {}: {}, hash {hash:#x}", z(*zxid), record_words(record)),
        ),
        Event::Logged { zxid, hash } => (Kind::Logged, [zxid.0, 0, 0, 0], format!("logs {}, hash {hash:#x}", z(*zxid))),
        Event::Durable(zxid) => (Kind::Durable, [zxid.0, 0, 0, 0], format!("has {} durable", z(*zxid))),
        Event::Acked(zxid) => (Kind::Acked, [zxid.0, 0, 0, 0], format!("acknowledges {}", z(*zxid))),
        Event::Decided(zxid) => (Kind::Decided, [zxid.0, 0, 0, 0], format!("decides {}", z(*zxid))),
        Event::Applied { zxid, digest, .. } => {
            (Kind::Applied, [zxid.0, 0, 0, 0], format!("applies {}, digest {digest:#x}", z(*zxid)))
        }
        Event::TreeReplaced { zxid, digest } => (
            Kind::Replaced,
            [zxid.0, 0, 0, 0],
            format!("has a tree from a snapshot at {}, digest {digest:#x}", z(*zxid)),
        ),
        Event::Truncated(zxid) => (Kind::Truncated, [zxid.0, 0, 0, 0], format!("has cut its log behind {}", z(*zxid))),
        Event::SnapshotTaken { zxid, bytes, .. } => {
            (Kind::Snapshot, [zxid.0, 0, 0, 0], format!("has a snapshot at {}, {bytes} bytes", z(*zxid)))
        }
        Event::SessionExpired { session, idle_ms, timeout_ms } => (
            Kind::Expired,
            [session.0, 0, 0, 0],
            format!("session {session} is over: idle for {idle_ms} ms of {timeout_ms} ms"),
        ),
        Event::DigestMismatch { zxid, ours, theirs } => (
            Kind::Mismatch,
            [zxid.0, 0, 0, 0],
            format!("digest {ours:#x} after {}, but its record says {theirs:#x}", z(*zxid)),
        ),
        Event::LinkClosed { sid, why, .. } => {
            let other = sid.map(|sid| format!(" with s{sid}")).unwrap_or_default();
            (Kind::Closed, [0; 4], format!("a connection{other} ends: {why}"))
        }
        Event::Warning(text) => (Kind::Note, [0; 4], format!("warns: {text}")),
        Event::FsyncTook(_) => return None,
    };
    Some(Fact { at, who: Who::Server(node as u32), kind, numbers, text })
}

/// What the world has seen, apart from servers' events and faults.
pub(super) fn observation(at: Micros, what: &Obs<'_>) -> Option<Fact> {
    let z = zxid_text;
    let server = |n: usize| Who::Server(n as u32);
    let client = |n: usize| Who::Client(n as u32);
    let (who, kind, numbers, text) = match what {
        Obs::Started { node, .. } => (server(*node), Kind::Started, [0; 4], "starts".into()),
        Obs::Stopped { node, how } => {
            let how = match how {
                Down::PowerCut => "loses power".to_owned(),
                Down::Kill => "is killed".to_owned(),
                Down::Halt(Halt::Shutdown) => "ends".to_owned(),
                Down::Halt(halt) => format!("ends by itself: {halt:?}"),
            };
            (server(*node), Kind::Stopped, [0; 4], how)
        }
        Obs::Outside { why } => (Who::World, Kind::Outside, [0; 4], format!("outside the guarantee: {why}")),
        Obs::Cloned { node, of } if node == of => (server(*node), Kind::Note, [0; 4], "is itself again".into()),
        Obs::Cloned { node, of } => (server(*node), Kind::Note, [0; 4], format!("is a second s{} from now on", of + 1)),
        Obs::Healed { core } => (Who::World, Kind::Healed, [0; 4], format!("healed: {}", crate::fault::names(core))),
        Obs::Attached { client: c, node, session, timeout_ms, fresh, .. } => {
            let how = if *fresh { "new" } else { "resumed" };
            let text = format!("is attached to s{} with session {session} ({how}), timeout {timeout_ms} ms", node + 1);
            (client(*c), Kind::Attached, [*node as i64, *timeout_ms, session.0 & 0xffff_ffff, 0], text)
        }
        Obs::Refused { client: c, node, session } => {
            let text = format!("is told by s{} that session {session} is expired", node + 1);
            (client(*c), Kind::Refused, [*node as i64, 0, 0, 0], text)
        }
        Obs::Intruded { client: c, node, session } => {
            let text = format!("s{} gives session {session} to somebody with a wrong password", node + 1);
            (client(*c), Kind::Note, [0; 4], text)
        }
        Obs::Left { client: c, .. } => (client(*c), Kind::Note, [0; 4], "takes its session elsewhere".into()),
        Obs::Detached { client: c, .. } => (client(*c), Kind::Detached, [0; 4], "has lost its connection".into()),
        Obs::Asked { client: c, xid, request, .. } => {
            (client(*c), Kind::Asked, [i64::from(*xid), 0, 0, 0], format!("asks #{xid} {}", request_words(request)))
        }
        Obs::Replied { client: c, xid, zxid, err, body, asked_ms, .. } => {
            let outcome = match (err, body) {
                (ErrorCode::Ok, body) => format!("ok{}", body.map(response_words).unwrap_or_default()),
                (err, _) => format!("{err:?}"),
            };
            let text = format!("is answered #{xid} at {}: {outcome}", z(*zxid));
            (client(*c), Kind::Replied, [i64::from(*xid), zxid.0, i64::from(err.code()), *asked_ms], text)
        }
        Obs::Malformed { client: c, node, text, .. } => {
            (client(*c), Kind::Note, [0; 4], format!("is sent by s{} what nobody knows: {text}", node + 1))
        }
        Obs::AskedNonsense { client: c, xid, op, body, .. } => {
            let text = format!("asks #{xid} what is no request: opcode {op}, {} bytes", body.len());
            (client(*c), Kind::Asked, [i64::from(*xid), 0, 0, 0], text)
        }
        Obs::RepliedNonsense { client: c, xid, zxid, err, asked_ms, .. } => {
            let text = format!("is answered #{xid} at {}: {err:?}", z(*zxid));
            (client(*c), Kind::Replied, [i64::from(*xid), zxid.0, i64::from(err.code()), *asked_ms], text)
        }
        Obs::Ponged { client: c, zxid, .. } => {
            (client(*c), Kind::Ponged, [zxid.0, 0, 0, 0], format!("its ping is answered at {}", z(*zxid)))
        }
        Obs::Watch { client: c, zxid, kind, path, .. } => {
            (client(*c), Kind::Watch, [zxid.0, 0, 0, 0], format!("watch event {kind:?} {path} at {}", z(*zxid)))
        }
        Obs::End => (Who::World, Kind::End, [0; 4], "the run ends".into()),
        Obs::Server { .. }
        | Obs::Fault(_)
        | Obs::Tree { .. }
        | Obs::Snapshot { .. }
        | Obs::Disk { .. }
        | Obs::Voted { .. }
        | Obs::Unkept { .. }
        | Obs::Mended { .. }
        | Obs::Unlinked { .. } => return None,
    };
    Some(Fact { at, who, kind, numbers, text })
}

/// A fault strikes.
pub(super) fn fault(at: Micros, fault: &Explicit) -> Fact {
    let one = fault.node.as_deref().and_then(crate::fault::server);
    let who = one.map_or(Who::World, |n| Who::Server(n as u32));
    let numbers = [i64::from(fault.id), fault.hold_ms.unwrap_or(0), 0, 0];
    Fact { at, who, kind: Kind::Fault, numbers, text: crate::fault::describe(fault) }
}

fn file_words(file: &FileName) -> String {
    match file.dir {
        Dir::Side => format!("quorate/{}", file.name),
        _ => file.name.to_string(),
    }
}

/// A disk operation is over.
pub(super) fn disk(at: Micros, began: Micros, node: usize, op: &DiskOp, error: Option<&DiskError>) -> Fact {
    let f = file_words;
    let (what, mut text) = match op {
        DiskOp::WriteAt(file, at, bytes) if file.dir == Dir::Log => {
            (0, format!("appends {} bytes to {} at {at}", bytes.len(), f(file)))
        }
        DiskOp::WriteAt(file, at, bytes) => (2, format!("writes {} bytes to {} at {at}", bytes.len(), f(file))),
        DiskOp::Fsync(file) => (1, format!("fsync of {}", f(file))),
        DiskOp::FsyncDir(dir) => (1, format!("fsync of the directory {dir:?}")),
        DiskOp::Create(file) => (2, format!("creates {}", f(file))),
        DiskOp::Extend(file, to) => (2, format!("extends {} to {to}", f(file))),
        DiskOp::Truncate(file, to) => (2, format!("cuts {} to {to}", f(file))),
        DiskOp::Rename(from, to) => (2, format!("renames {} to {}", f(from), f(to))),
        DiskOp::Unlink(file) => (2, format!("removes {}", f(file))),
        DiskOp::ReadRange(file, at, length) => (3, format!("reads {length} bytes of {} at {at}", f(file))),
        DiskOp::List(dir) => (3, format!("lists the directory {dir:?}")),
    };
    if let Some(error) = error {
        text += &format!(": {error:?}");
    }
    // To find nothing is an answer, too.
    let failed = error.is_some_and(|e| *e != DiskError::NotFound);
    let numbers = [at.saturating_sub(began) as i64, what, i64::from(failed), 0];
    Fact { at, who: Who::Server(node as u32), kind: Kind::Disk, numbers, text }
}

/// A message in a line of the trace. `servers`: the lanes before those of clients.
pub(super) fn message(fact: &Fact, servers: usize) -> String {
    let lane = |number: i64| match number as usize {
        n if n < servers => format!("s{}", n + 1),
        n => format!("c{}", n - servers + 1),
    };
    match fact.kind {
        Kind::Sent => format!("sends {} to {}", fact.text, lane(fact.numbers[1])),
        Kind::Received => format!("gets {} from {}", fact.text, lane(fact.numbers[3])),
        Kind::Lost => format!("{} to {} is lost", fact.text, lane(fact.numbers[1])),
        _ => fact.text.clone(),
    }
}

/// A request: its name and path.
pub(super) fn request_words(request: &Request<'_>) -> String {
    let named = |name: &str, path: &Option<quorate_core::jute::JStr<'_>>| match path {
        Some(path) => format!("{name} {path}"),
        None => name.to_owned(),
    };
    match request {
        Request::Create(c) => match c.flags {
            0 => named("create", &c.path),
            flags => named("create", &c.path) + &format!(" flags {flags}"),
        },
        Request::Delete { path, version } => versioned(named("delete", path), *version),
        Request::DeleteContainer { path } => named("deleteContainer", path),
        Request::Exists { path, watch } => watched(named("exists", path), *watch),
        Request::GetData { path, watch } => watched(named("get", path), *watch),
        Request::SetData { path, version, .. } => versioned(named("set", path), *version),
        Request::GetAcl { path } => named("getAcl", path),
        Request::SetAcl { path, version, .. } => versioned(named("setAcl", path), *version),
        Request::GetChildren { path, watch } | Request::GetChildren2 { path, watch } => {
            watched(named("ls", path), *watch)
        }
        Request::Sync { path } => named("sync", path),
        Request::Ping => "ping".into(),
        Request::Check { path, version } => versioned(named("check", path), *version),
        Request::Multi(parts) => multi("multi", parts),
        Request::MultiRead(parts) => multi("multiRead", parts),
        Request::Reconfig { .. } => "reconfig".into(),
        Request::CheckWatches { path, .. } => named("checkWatches", path),
        Request::RemoveWatches { path, .. } => named("removeWatches", path),
        Request::Auth { .. } => "auth".into(),
        Request::SetWatches { seen, .. } | Request::SetWatches2 { seen, .. } => {
            format!("setWatches since {}", zxid_text(Zxid(*seen)))
        }
        Request::AddWatch { path, .. } => named("addWatch", path),
        Request::Sasl { .. } => "sasl".into(),
        Request::GetEphemerals { prefix } => named("getEphemerals", prefix),
        Request::GetAllChildrenNumber { path } => named("countChildren", path),
        Request::WhoAmI => "whoAmI".into(),
        Request::CreateSession { .. } => "createSession".into(),
        Request::CloseSession => "closeSession".into(),
    }
}

fn versioned(text: String, version: i32) -> String {
    if version < 0 { text } else { format!("{text} if version {version}") }
}

fn watched(text: String, watch: bool) -> String {
    if watch { text + " watch" } else { text }
}

/// The parts of a multi that are told.
const PARTS: usize = 3;

fn multi(name: &str, parts: &[Request<'_>]) -> String {
    let mut text: Vec<String> = parts.iter().take(PARTS).map(request_words).collect();
    if parts.len() > PARTS {
        text.push(format!("{} more", parts.len() - PARTS));
    }
    format!("{name} [{}]", text.join(", "))
}

fn response_words(response: &Response<'_>) -> String {
    match response {
        Response::Created { path, .. } => format!(" {path}"),
        Response::Stat(stat) => format!(" version {}", stat.version),
        _ => String::new(),
    }
}

/// What a transaction does.
pub(super) fn record_words(record: &[u8]) -> String {
    let Ok((header, txn, _)) = decode_record(record) else { return format!("{} bytes", record.len()) };
    match &txn {
        Txn::CreateSession { timeout } => format!("createSession {} of {timeout} ms", header.session),
        Txn::CloseSession { .. } => format!("closeSession {}", header.session),
        Txn::Create { path, .. } => format!("create {path}"),
        Txn::Delete { path } => format!("delete {path}"),
        Txn::SetData { path, version, .. } => format!("set {path} version {version}"),
        Txn::SetAcl { path, .. } => format!("setAcl {path}"),
        Txn::Check { path, .. } => format!("check {path}"),
        Txn::Multi(parts) => format!("multi of {}", parts.len()),
        Txn::Error(code) => format!("error {code:?}"),
    }
}
