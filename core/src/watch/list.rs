//! Counts and listings: `wchs`, `wchc`, `wchp`, `mntr` (operations section 6). As there, lists show the data table only.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::LinkId;
use crate::watch::manager::WatchManager;
use crate::watch::mode::Modes;

/// What `wchs` shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WatchTotals {
    /// Connections that watch something.
    pub connections: usize,
    /// Watched paths.
    pub paths: usize,
    /// Pairs of them.
    pub watches: usize,
}

impl WatchManager {
    /// All entries of both tables.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.data_watches + self.child_watches
    }

    /// Connections, paths and pairs of the data table. Looks at every watch.
    #[must_use]
    pub fn totals(&self) -> WatchTotals {
        let mut seen = (alloc::vec![false; self.table.conns.len()], alloc::vec![false; self.table.paths.len()]);
        let mut totals = WatchTotals { watches: self.data_watches, ..WatchTotals::default() };
        let mark = |seen: &mut Vec<bool>, at: u32| {
            if seen.len() <= at as usize {
                seen.resize(at as usize + 1, false);
            }
            usize::from(!core::mem::replace(&mut seen[at as usize], true))
        };
        for (_, watch) in self.table.watches.iter().filter(|(_, w)| w.modes.has(Modes::DATA_TABLE)) {
            totals.connections += mark(&mut seen.0, watch.conn);
            totals.paths += mark(&mut seen.1, watch.path);
        }
        totals
    }

    /// Paths by connection, both in ascending order.
    #[must_use]
    pub fn by_link(&self) -> BTreeMap<LinkId, Vec<String>> {
        let mut lists: BTreeMap<LinkId, Vec<String>> = BTreeMap::new();
        for (_, watch) in self.table.watches.iter().filter(|(_, w)| w.modes.has(Modes::DATA_TABLE)) {
            let link = self.table.conns[watch.conn as usize].link;
            lists.entry(link).or_default().push(String::from(&*self.table.paths[watch.path as usize].text));
        }
        lists.values_mut().for_each(|list| list.sort_unstable());
        lists
    }

    /// Connections by path, both in ascending order.
    #[must_use]
    pub fn by_path(&self) -> BTreeMap<String, Vec<LinkId>> {
        let mut lists: BTreeMap<String, Vec<LinkId>> = BTreeMap::new();
        for (link, paths) in self.by_link() {
            for path in paths {
                lists.entry(path).or_default().push(link);
            }
        }
        lists
    }
}
