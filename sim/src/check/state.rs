//! Whole states: D1 the strong comparison that Java's digest is too weak for, D2 what recovery and snapshots hold, D5 the index of
//! ephemerals, D6 quotas, D9 rights, C7 nothing of a session that is gone.
//!
//! When: after each step in which a tree has moved (what has changed since the last look), after each recovery and each loaded
//! snapshot (everything), and as a snapshot is finished (its file). O(changes), or O(znodes) where the core's own work is that.

use std::collections::BTreeMap;

use quorate_core::ids::{SessionId, Zxid};
use quorate_core::tree::DataTree;
use quorate_core::wire::records::{Acl, StatPersisted, perm};
use quorate_core::wire::snapshot::{FileDecoder, SnapSink};

use super::ghost::Ghost;
use super::{Checked, broken};
use crate::model::{Difference, Model};

/// Usage of quotas is counted anew once in so many transactions.
const USAGE_EVERY: u32 = 8;

/// A tree has moved.
pub(super) fn seen(g: &mut Ghost, n: usize, model: &Model, tree: &DataTree, at: Zxid, replaced: bool) -> Checked {
    // While a snapshot is loaded the tree stands for nothing.
    if tree.last_zxid() != at || g.zxid(g.servers[n].applied) != at {
        return Ok(());
    }
    if !g.entry(g.servers[n].applied).decided {
        // Another implementation left it: it is compared as a whole once it is decided.
        g.servers[n].compared = None;
        return Ok(());
    }
    let after = if replaced { None } else { g.servers[n].compared };
    let compared = model.compare(tree, at, after).and_then(|_| {
        let count = at == model.last() && at.counter().is_multiple_of(USAGE_EVERY);
        if count { model.compare_usage(tree) } else { Ok(()) }
    });
    if let Err(Difference { invariant, text }) = compared {
        let loaded = after.is_none() && matches!(invariant, "D1" | "D3" | "D4");
        let what = if after.is_none() { "recovered or loaded" } else { "applied" };
        let id = if loaded { "D2" } else { invariant };
        return broken(id, format!("its tree stands at {at}, {what}"), text);
    }
    g.servers[n].compared = Some(at);
    Ok(())
}

/// Compares what a snapshot holds as it is read.
struct Compared<'a> {
    model: &'a Model,
    at: Zxid,
    acls: BTreeMap<i64, Vec<Acl<'static>>>,
    znodes: usize,
    sessions: usize,
    difference: Option<Difference>,
}

impl Compared<'_> {
    fn found(&mut self, result: Result<(), Difference>) {
        if let Err(difference) = result {
            self.difference.get_or_insert(difference);
        }
    }
}

impl SnapSink for Compared<'_> {
    fn session(&mut self, id: SessionId, timeout: i32) -> Result<(), &'static str> {
        self.sessions += 1;
        let want = self.model.timeout_at(id, self.at);
        if want != Some(timeout) {
            let text = format!("session {id} is in it with {timeout} ms, the model says {want:?}");
            self.found(Err(Difference { invariant: "D2", text }));
        }
        Ok(())
    }
    fn acl(&mut self, id: i64, acl: Vec<Acl<'_>>) -> Result<(), &'static str> {
        self.acls.insert(id, acl.into_iter().map(Acl::into_owned).collect());
        Ok(())
    }
    fn node(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) -> Result<(), &'static str> {
        self.znodes += 1;
        let open = [Acl::world(perm::ALL)];
        let list = if acl == -1 { Some(&open[..]) } else { self.acls.get(&acl).map(Vec::as_slice) };
        let result = match list {
            Some(list) => self.model.compare_stored(path, self.at, data, stat, list),
            None => {
                let text = format!("{path} has the list of rights {acl}, which is not in the table");
                Err(Difference { invariant: "D9", text })
            }
        };
        self.found(result);
        Ok(())
    }
}

/// A snapshot is finished: it holds what the tree was at its zxid, no more and no less.
pub(super) fn snapshot(g: &Ghost, n: usize, model: &Model, zxid: Zxid, file: &[u8]) -> Checked {
    if g.servers[n].excused || !model.remembers(zxid) {
        return Ok(());
    }
    let what = || format!("it has finished a snapshot at {zxid}");
    let mut sink = Compared { model, at: zxid, acls: BTreeMap::new(), znodes: 0, sessions: 0, difference: None };
    let mut decoder = FileDecoder::new();
    if let Err(e) = decoder.feed(file, &mut sink).and_then(|()| decoder.finish()) {
        return broken("D2", what(), format!("its file does not decode: {e}"));
    }
    if let Some(Difference { invariant, text }) = sink.difference {
        return broken(if invariant == "D9" { "D9" } else { "D2" }, what(), text);
    }
    let want = model.counts_at(zxid);
    if (sink.znodes, sink.sessions) != want {
        let second = format!("the model has {} znodes and {} sessions there", want.0, want.1);
        let first = format!("{}, with {} znodes and {} sessions", what(), sink.znodes, sink.sessions);
        return broken("D2", first, second);
    }
    Ok(())
}
