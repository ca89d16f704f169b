//! What a decided transaction does: D3 stats, D4 structure, D5 ephemerals, C10 identity, and the model's digest for D1.
//!
//! When: once for each transaction, as it is decided. The model applies it; whatever contradicts the model's tree breaks here.

use bytes::Bytes;
use quorate_core::wire::txn::decode_record;

use super::clients::Clients;
use super::ghost::{At, Ghost};
use super::watch::Watches;
use super::{Checked, broken, broken_by};
use crate::model::Model;
use crate::report::{Earlier, Kind};

/// Applies what was just decided, in order, and explains every client's write by its request.
pub(super) fn decided(
    g: &mut Ghost,
    new: &[At],
    model: &mut Model,
    clients: &mut Clients,
    watches: &mut Watches,
) -> Checked {
    for at in new {
        let entry = &mut g.entries[*at as usize];
        let record = std::mem::replace(&mut entry.record, Bytes::new());
        let zxid = entry.zxid;
        let (header, txn, digest) = match decode_record(&record) {
            Ok(parts) => parts,
            Err(e) => return broken("Z4", format!("the record of {zxid} does not decode"), e.to_string()),
        };
        if header.zxid != zxid {
            return broken("Z4", format!("{zxid} was proposed"), format!("its record says {}", header.zxid));
        }
        clients.explain(&header, &txn, model)?;
        let applied = match model.apply(&header, &txn) {
            Ok(applied) => applied,
            Err(why) => {
                let id = ["C10", "D4", "D5"].into_iter().find(|id| why.starts_with(id)).unwrap_or("D3");
                let earlier = Earlier::about(Kind::Proposed, zxid.0);
                return broken_by(id, format!("{zxid} is decided: {header:?} {txn:?}"), why, earlier);
            }
        };
        entry.digest = model.digest();
        if let Some(digest) = digest.filter(|d| d.version == 2)
            && digest.digest != entry.digest
        {
            // The leader has made it from what it expects the tree to be.
            let first = format!("the record of {zxid} ({txn:?}) carries digest {:#x}", digest.digest);
            let second = format!("the model's is {:#x}", entry.digest);
            return broken_by("D8", first, second, Earlier::about(Kind::Proposed, zxid.0));
        }
        clients.decided(&header, &txn, applied.outcomes)?;
        for change in &applied.changes {
            watches.changed(change);
        }
    }
    Ok(())
}
