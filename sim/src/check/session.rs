//! Expiry: C6 no session ends early, and only a leader ends one that nobody closes.
//!
//! When: as a leader announces an expiry, and as the close of a session is proposed. O(log n).

use quorate_core::ids::{Millis, SessionId};
use quorate_core::jute::Reader;
use quorate_core::wire::records::op;
use quorate_core::wire::txn::TxnHeader;

use super::clients::Clients;
use super::ghost::Ghost;
use super::{Checked, broken, broken_by};
use crate::model::Model;
use crate::report::{Earlier, Kind};

/// A leader says that a session was idle for so long, of so much that it may be. `now`: virtual time, ms. `drifts`: the clock of
/// some server has run at another rate than the world's; otherwise the world's time is the leader's.
pub(super) fn expired(
    g: &mut Ghost,
    n: usize,
    session: SessionId,
    (idle, timeout): (Millis, Millis),
    heard: Option<Millis>,
    now: Millis,
    drifts: bool,
) -> Checked {
    let s = &mut g.servers[n];
    let what = || format!("session {session} expires: idle {idle} ms of {timeout} ms");
    let Some(since) = s.leads else {
        return broken("C6", what(), format!("server {} is {} and leads nobody", s.sid, s.role.name()));
    };
    if idle < timeout {
        return broken("C6", what(), "it was idle for less than its timeout".into());
    }
    // Two readings of two clocks are each less than a millisecond off. A clock that stands still only makes it later.
    let least = if drifts { timeout * 3 / 4 } else { timeout - 2 };
    if now - since < least {
        let second = format!("the leader was established {} ms ago: every session has its full timeout", now - since);
        return broken_by("C6", what(), second, Earlier::of(Kind::Established, n));
    }
    if let Some(at) = heard.filter(|at| *at >= since && now - at < least) {
        return broken("C6", what(), format!("it has answered what its client asked {} ms ago", now - at));
    }
    s.expired.insert(session);
    Ok(())
}

/// A leader proposes: the close of a session needs a reason.
pub(super) fn proposed(g: &Ghost, n: usize, record: &[u8], clients: &mut Clients, model: &Model) -> Checked {
    let Ok(header) = TxnHeader::decode(&mut Reader::new(record)) else {
        return broken("Z4", "it proposes a record".into(), "its header does not decode".into());
    };
    let s = &g.servers[n];
    if header.kind != op::CLOSE_SESSION {
        return Ok(());
    }
    clients.ends(header.session);
    if s.expired.contains(&header.session) {
        return Ok(());
    }
    if clients.is_closing(header.session) || !model.is_alive(header.session) {
        return Ok(());
    }
    let first = format!("it proposes at {} to close session {}", header.zxid, header.session);
    broken("C6", first, "its client has not asked for that, and this leader has not found it expired".into())
}
