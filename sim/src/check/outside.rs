//! U6: outside the fault budget a server stops or reports, and never diverges silently.
//!
//! When: from the fault that broke what everything rests on, at each apply; judged once, at the end of the run. O(log servers) each.
//! Nothing else is checked from then on.

use std::collections::BTreeMap;

use quorate_core::event::{Event, Health};
use quorate_core::ids::Zxid;

use super::{Checked, broken};
use crate::observe::Obs;

/// Where a server stands, as it says itself.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    zxid: Zxid,
    digest: u64,
    /// Applied since, one after the other: a record brings its digest, so that what differs is told with the next one.
    applied: u32,
    /// In any life.
    reported: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Outside {
    servers: BTreeMap<usize, Standing>,
}

impl Outside {
    pub(super) fn observe(&mut self, what: &Obs<'_>) -> Checked {
        match what {
            Obs::Server { node, event } => self.event(*node, event),
            // What it has reported in an earlier life is known: recovery does not say again what it applies again.
            Obs::Stopped { node, .. } => {
                if let Some(s) = self.servers.get_mut(node) {
                    *s = Standing { reported: s.reported, ..Standing::default() };
                }
            }
            Obs::End => return self.judge(),
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, n: usize, event: &Event) {
        let s = self.servers.entry(n).or_default();
        match event {
            Event::Applied { zxid, digest, .. } => {
                (s.zxid, s.digest) = (*zxid, *digest);
                s.applied += 1;
            }
            Event::TreeReplaced { zxid, digest } => (s.zxid, s.digest, s.applied) = (*zxid, *digest, 0),
            Event::DigestMismatch { .. } => s.reported = true,
            Event::Recovered { health, .. } => s.reported |= *health != Health::Intact,
            _ => {}
        }
    }

    fn judge(&self) -> Checked {
        let told: Vec<(&usize, &Standing)> =
            self.servers.iter().filter(|(_, s)| s.applied > 2 && !s.reported).collect();
        for (i, (a, x)) in told.iter().enumerate() {
            for (b, y) in &told[i + 1..] {
                if x.zxid == y.zxid && x.digest != y.digest {
                    let first = format!("server {} has a tree with digest {:#x} at {}", *a + 1, x.digest, x.zxid);
                    return broken("U6", first, format!("server {} has {:#x}, and neither says so", *b + 1, y.digest));
                }
            }
        }
        Ok(())
    }
}
