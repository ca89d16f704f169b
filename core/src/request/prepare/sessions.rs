//! What the session of a request may do, and closeSession (client-protocol 2.3, 2.4, 2.6).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::error::ErrorCode;
use crate::ids::SessionId;
use crate::mutant::Mutant;
use crate::request::prepare::projection::View;
use crate::request::prepare::{Failure, Incoming, Preparer, Rules, paths};
use crate::session::{Origin, Standing, Tracker};
use crate::tree::DataTree;
use crate::wire::txn::{Txn, TxnHeader};

impl Rules {
    /// Whether the session may write; then, whether it is global.
    ///
    /// What a vanished or closing session of this server asks for is dropped: its connection ends with the close. A learner
    /// matches its clients' writes against the log, so it gets an error transaction.
    pub(super) fn standing(&self, incoming: &Incoming<'_>, tracker: &mut Tracker) -> Result<bool, Failure> {
        let gone = match incoming.origin {
            Origin::Local => Failure::Dropped,
            Origin::Learner(_) => Failure::Logged(ErrorCode::SessionExpired),
        };
        if incoming.session == SessionId::NONE && incoming.origin == Origin::Local {
            // The leader itself.
            return Ok(false);
        }
        match tracker.check(incoming.session, incoming.origin) {
            Standing::Good => Ok(true),
            Standing::Moved => Err(Failure::Logged(ErrorCode::SessionMoved)),
            Standing::Closing if self.mutants.has(Mutant::B53) => Ok(true),
            Standing::Closing => Err(gone),
            Standing::Unknown if self.local_sessions && self.may_be_local(incoming) => Ok(false),
            Standing::Unknown => Err(gone),
        }
    }

    /// Whether this unknown session may be known to its server only. A learner's cannot carry this server's byte.
    fn may_be_local(&self, incoming: &Incoming<'_>) -> bool {
        incoming.origin == Origin::Local || incoming.session.server_byte() != (self.sid.0 & 0xff)
    }
}

impl Preparer {
    /// closeSession: names every ephemeral of the session, those that are still in flight too (ZOOKEEPER-3145).
    pub(super) fn close_session(&mut self, header: &TxnHeader, tree: &DataTree, out: &mut Vec<u8>) {
        let owned = self.flying.ephemerals_of(header.session, tree);
        for path in &owned {
            let (place, _) = self.flying.get(tree, path);
            self.flying.put(place, path, header.zxid, None);
            let above = paths::parent(path);
            let (place, parent) = self.flying.get(tree, above);
            if let Some(mut parent) = parent.as_ref().map(View::node) {
                parent.children -= 1;
                parent.stat.pzxid = header.zxid;
                self.flying.put(place, above, header.zxid, Some(parent));
            }
        }
        // Every server finds the session's ephemerals by itself; the list is for those that Java leaves in flight.
        let fits = owned.iter().map(|path| path.len() + 4).sum::<usize>() < self.rules.record_max;
        let owned = if fits { owned } else { Vec::new() };
        let paths = owned.iter().map(|path| Cow::Borrowed(path.as_str())).collect();
        Txn::CloseSession { paths: Some(paths) }.encode(header.kind, out);
    }
}
