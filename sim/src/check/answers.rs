//! What an answer has to say, by the operation: what the model's tree does not decide alone.

use std::rc::Rc;

use quorate_core::error::ErrorCode;
use quorate_core::ids::Zxid;
use quorate_core::wire::client::{EventKind, MultiResult, Request, Response};
use quorate_core::wire::records::op;

use super::clients::{Pending, Reply, Session};
use super::watch::{Mode, Watches, modes_of};
use crate::model::{Model, Outcome, WatchList, makes_ephemeral, part_code, shown};

/// Why an answer is wrong: the invariant, and what had to come.
type Wrong = (&'static str, String);

/// What only the connection decides: watches, identities, echoes. `None`: the model's tree has to say.
pub(super) fn judge_own(
    reply: &Reply<'_>,
    p: &Pending,
    model: &Model,
    watches: &mut Watches,
) -> Option<Result<(), Wrong>> {
    let Reply { conn, zxid, err, body, .. } = *reply;
    let is = |want: Result<Response<'_>, ErrorCode>| match (&want, body) {
        (Err(code), None) if *code == err => Ok(()),
        (Ok(Response::Empty), None) if err == ErrorCode::Ok => Ok(()),
        (Ok(want), Some(got)) if err == ErrorCode::Ok && want == got => Ok(()),
        _ => Err(("C3", format!("it must be {want:?}"))),
    };
    Some(match reply.request? {
        Request::Sync { path } => is(Ok(Response::Path(path.clone()))),
        Request::WhoAmI => {
            let Some(Response::Ids(got)) = body else {
                return Some(Err(("C3", "it has no list of identities".into())));
            };
            let mut want: Vec<(&str, &str)> = p.ids.iter().map(shown).collect();
            let mut got: Vec<(&str, &str)> = got.iter().map(|id| (id.scheme(), id.id())).collect();
            want.sort_unstable();
            got.sort_unstable();
            if want == got { Ok(()) } else { Err(("C3", format!("the connection has proved {want:?}"))) }
        }
        Request::AddWatch { path, mode } => {
            let (Some(path), 0 | 1) = (path, mode) else { return Some(is(Err(ErrorCode::MarshallingError))) };
            let judged = is(Ok(Response::Number(0)));
            let mode = if *mode == 0 { Mode::Persistent } else { Mode::Recursive };
            watches.arm(conn, path, mode, zxid, model);
            judged
        }
        Request::CheckWatches { path, kind } | Request::RemoveWatches { path, kind } => {
            let (Some(path), Some(modes)) = (path, modes_of(*kind)) else {
                return Some(is(Err(ErrorCode::MarshallingError)));
            };
            if !watches.stood(conn, path, modes, zxid) {
                return Some(is(Err(ErrorCode::NoWatcher)));
            }
            if p.op == op::REMOVE_WATCHES {
                watches.remove(conn, path, modes, zxid);
            }
            is(Ok(Response::Empty))
        }
        _ => return None,
    })
}

/// The watch that a successful read has armed.
pub(super) fn arm(reply: &Reply<'_>, model: &Model, watches: &mut Watches) {
    let Reply { conn, zxid, err, .. } = *reply;
    let ok = err == ErrorCode::Ok;
    let (path, mode) = match reply.request {
        Some(Request::GetData { path: Some(path), watch: true }) if ok => (path, Mode::Data),
        Some(Request::Exists { path: Some(path), watch: true }) if ok || err == ErrorCode::NoNode => (path, Mode::Data),
        Some(
            Request::GetChildren { path: Some(path), watch: true }
            | Request::GetChildren2 { path: Some(path), watch: true },
        ) if ok => (path, Mode::Child),
        _ => return,
    };
    watches.arm(conn, path, mode, zxid, model);
}

/// What setWatches had to find out, and what it has armed (7.4).
pub(super) fn set_watches(
    reply: &Reply<'_>,
    got: &[(EventKind, Rc<str>)],
    model: &Model,
    watches: &mut Watches,
) -> Result<(), String> {
    let (conn, at, empty) = (reply.conn, reply.zxid, Vec::new());
    let (seen, data, exist, child, persistent, recursive) = match reply.request {
        Some(Request::SetWatches { seen, data, exist, child }) => (seen, data, exist, child, &empty, &empty),
        Some(Request::SetWatches2 { seen, data, exist, child, persistent, recursive }) => {
            (seen, data, exist, child, persistent, recursive)
        }
        _ => return Ok(()),
    };
    if reply.err != ErrorCode::Ok {
        return Err("it cannot fail".into());
    }
    let mut want: Vec<(EventKind, Rc<str>)> = Vec::new();
    for (list, kind, mode) in [
        (data, WatchList::Data, Mode::Data),
        (exist, WatchList::Exist, Mode::Data),
        (child, WatchList::Child, Mode::Child),
    ] {
        for path in list {
            match model.catch_up(at, Zxid(*seen), kind, path) {
                Some(event) => want.push((event, (**path).into())),
                None => watches.arm(conn, path, mode, at, model),
            }
        }
    }
    for path in persistent {
        watches.arm(conn, path, Mode::Persistent, at, model);
    }
    for path in recursive {
        watches.arm(conn, path, Mode::Recursive, at, model);
    }
    if want == got {
        Ok(())
    } else {
        Err(format!("setWatches at {at}, seen {seen}: {want:?} had to come, {got:?} came"))
    }
}

/// `seen`: what the session had seen before; a reply that waited behind a later read names that (client-protocol 16, quirk 6).
/// `local`: the session is known to its server only, and stays so.
pub(super) fn judge_write(
    session: &mut Session,
    p: &Pending,
    reply: &Reply<'_>,
    seen: Zxid,
    local: bool,
) -> Result<Option<Zxid>, Wrong> {
    let Some(write) = session.writes.remove(&p.xid) else {
        return Err(("C2", format!("no write with xid {} is known", p.xid)));
    };
    let Some((zxid, outcomes, multi)) = write.decided else {
        return Err(("U1", format!("the write (op {}) is not decided", p.op)));
    };
    if reply.zxid != zxid.max(seen) {
        return Err(("C2", format!("the write was decided at {zxid}")));
    }
    // What the log has as -112 its server tells as -120 (2.6).
    let upgrades = local && reply.request.is_some_and(makes_ephemeral);
    let told = |code: ErrorCode| match code {
        ErrorCode::SessionExpired if upgrades => ErrorCode::EphemeralOnLocalSession,
        code => code,
    };
    let fine = match (reply.body, outcomes.as_slice()) {
        (None, [Outcome::Error(code)]) if !multi => told(*code) == reply.err,
        _ if reply.err != ErrorCode::Ok => false,
        (Some(Response::Multi(results)), outcomes) if multi => {
            let Some(Request::Multi(parts)) = reply.request else { return Err(("C2", "it was no multi".into())) };
            let all = parts.iter().zip(results).zip(outcomes);
            results.len() == outcomes.len()
                && results.len() == parts.len()
                && all.into_iter().all(|((part, result), outcome)| part_matches(part, result, outcome, told))
        }
        (Some(Response::Created { path, stat }), [Outcome::Created(p, s)]) => {
            **path == **p && *stat == (write.op != op::CREATE).then_some(*s)
        }
        (Some(Response::Stat(got)), [Outcome::Stat(want)]) => got == want,
        (None | Some(Response::Empty), [Outcome::Done]) => true,
        _ => false,
    };
    if fine { Ok(Some(zxid)) } else { Err(("C2", format!("the model says {outcomes:?}"))) }
}

fn part_matches(
    part: &Request<'_>,
    result: &MultiResult<'_>,
    outcome: &Outcome,
    told: impl Fn(ErrorCode) -> ErrorCode,
) -> bool {
    match (result, outcome) {
        (MultiResult::Created { path, stat }, Outcome::Created(p, s)) => {
            **path == **p && *stat == (part_code(part) != op::CREATE).then_some(*s)
        }
        (MultiResult::Deleted, Outcome::Done) => part.op() == op::DELETE,
        (MultiResult::Checked, Outcome::Done) => part.op() == op::CHECK,
        (MultiResult::SetData(got), Outcome::Stat(want)) => got == want,
        (MultiResult::Error(got), Outcome::Error(want)) => *got == told(*want),
        _ => false,
    }
}
