//! Quotas: limits and usage are texts in znodes below /zookeeper/quota (client-protocol section 10).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use super::DataTree;
use super::arena::NodeId;

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";
const COUNT: &str = "count";
const BYTES: &str = "bytes";

/// Numbers of a limits or stats znode; `None`: not given, no limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// `count`.
    pub count: Option<i64>,
    /// `bytes`.
    pub bytes: Option<i64>,
    /// `countHardLimit`.
    pub count_hard: Option<i64>,
    /// `byteHardLimit`.
    pub bytes_hard: Option<i64>,
    /// Keys that mean nothing here.
    other: BTreeMap<String, i64>,
}

impl Numbers {
    /// Reads `count=N,bytes=N=;byteHardLimit=N;countHardLimit=N`. What cannot be read is not there; nothing fails.
    #[must_use]
    pub fn parse(data: Option<&[u8]>) -> Self {
        let mut numbers = Self::default();
        let text = core::str::from_utf8(data.unwrap_or_default()).unwrap_or_default();
        for pair in text.split([',', ';']) {
            let Some((key, value)) = pair.split_once('=') else { continue };
            let Ok(value) = value.trim_end_matches('=').parse::<i64>() else { continue };
            // -1 says "no limit" in a limits znode; as usage it never occurs.
            match key {
                COUNT => numbers.count = Some(value).filter(|n| *n != -1),
                BYTES => numbers.bytes = Some(value).filter(|n| *n != -1),
                "countHardLimit" => numbers.count_hard = Some(value).filter(|n| *n != -1),
                "byteHardLimit" => numbers.bytes_hard = Some(value).filter(|n| *n != -1),
                other => _ = numbers.other.insert(other.into(), value),
            }
        }
        numbers
    }

    /// The text; a lone '=' before further keys keeps parsers of 3.4 happy.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{COUNT}={},{BYTES}={}", self.count.unwrap_or(-1), self.bytes.unwrap_or(-1));
        let mut more = self.other.clone();
        let hard = [("byteHardLimit", self.bytes_hard), ("countHardLimit", self.count_hard)];
        more.extend(hard.into_iter().filter_map(|(key, n)| n.map(|n| (key.into(), n))));
        if !more.is_empty() {
            out.push('=');
        }
        for (key, n) in more {
            // Writing to a String cannot fail.
            let _ = write!(out, ";{key}={n}");
        }
        out
    }
}

/// The quota that counts for a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota<'a> {
    /// Of which subtree.
    pub prefix: &'a str,
    /// The limits.
    pub limit: Numbers,
    /// What is used, in the applied tree.
    pub used: Numbers,
}

/// Subtrees with a limits znode.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas {
    prefixes: BTreeSet<String>,
}

impl Quotas {
    /// The deepest of them that holds `path` (which may be the subtree's top itself).
    fn deepest(&self, path: &str) -> Option<&str> {
        if self.prefixes.is_empty() {
            return None;
        }
        let mut at = path;
        while !at.is_empty() {
            if let Some(found) = self.prefixes.get(at) {
                return Some(found);
            }
            at = &at[..at.rfind('/')?];
        }
        None
    }
}

/// The subtree whose limits or stats znode lies here, and which of the two it is. There is no quota on "/".
fn quota_node(path: &str) -> Option<(&str, &str)> {
    let (prefix, name) = path.strip_prefix(ROOT)?.rsplit_once('/')?;
    if prefix.starts_with('/') { Some((prefix, name)) } else { None }
}

impl DataTree {
    /// The quota that a write at `path` is checked against: the deepest only.
    #[must_use]
    pub fn quota(&self, path: &str) -> Option<Quota<'_>> {
        let prefix = self.quotas.deepest(path)?;
        let numbers = |name| Numbers::parse(self.node(&format!("{ROOT}{prefix}/{name}")).and_then(|n| n.data()));
        Some(Quota { prefix, limit: numbers(LIMITS), used: numbers(STATS) })
    }

    /// A znode was created.
    pub(super) fn quota_created(&mut self, path: &str, bytes: usize) {
        match quota_node(path) {
            Some((prefix, LIMITS)) => {
                self.quotas.prefixes.insert(prefix.into());
                // It may have changed unseen, and a server that loads a snapshot counts it then (see `load_quotas`).
                self.recompute_usage(prefix);
            }
            Some((prefix, STATS)) => self.recompute_usage(prefix),
            _ => {}
        }
        self.quota_used(path, bytes as i64, 1);
    }

    /// A znode was deleted.
    pub(super) fn quota_deleted(&mut self, path: &str, bytes: usize) {
        if let Some((prefix, LIMITS)) = quota_node(path) {
            self.quotas.prefixes.remove(prefix);
        }
        self.quota_used(path, -(bytes as i64), -1);
    }

    /// Usage below the deepest quota changed. The stats znode gets new data and keeps its stat.
    pub(super) fn quota_used(&mut self, path: &str, bytes: i64, count: i64) {
        let Some(prefix) = self.quotas.deepest(path) else { return };
        let Some(id) = self.find(&format!("{ROOT}{prefix}/{STATS}")) else { return };
        let mut numbers = Numbers::parse(self.nodes.get(id).data());
        if let (Some(old_count), Some(old_bytes)) = (numbers.count, numbers.bytes) {
            numbers.count = Some(old_count.wrapping_add(count));
            numbers.bytes = Some(old_bytes.wrapping_add(bytes));
        } else {
            // Somebody wrote nonsense over it.
            let prefix = String::from(prefix);
            self.count_usage(&prefix, &mut numbers);
        }
        self.write_usage(id, &numbers);
    }

    /// The usage of a subtree is counted anew, if it has a stats znode.
    pub(super) fn recompute_usage(&mut self, prefix: &str) {
        let Some(id) = self.find(&format!("{ROOT}{prefix}/{STATS}")) else { return };
        let mut numbers = Numbers::default();
        self.count_usage(prefix, &mut numbers);
        self.write_usage(id, &numbers);
    }

    fn count_usage(&self, prefix: &str, numbers: &mut Numbers) {
        let (mut count, mut bytes) = (0_i64, 0_i64);
        if let Some(top) = self.find(prefix) {
            for (_, node) in self.subtree(top) {
                count += 1;
                bytes += node.data_len() as i64;
            }
        }
        numbers.count = Some(count);
        numbers.bytes = Some(bytes);
    }

    fn write_usage(&mut self, id: NodeId, numbers: &Numbers) {
        // Below /zookeeper/: not in the digest, so that the path does not matter.
        self.set_data(id, "", Some(numbers.text().as_bytes()), |_| {});
    }

    /// Finds the quotas of a tree that was just loaded. The usage in a fuzzy snapshot means nothing; elsewhere it stays: it is no
    /// plain count where quotas are nested, and must not differ from that of a server that has not been started anew.
    pub(super) fn load_quotas(&mut self, exact: bool) {
        let Some(top) = self.find(ROOT) else { return };
        let leaves = self.subtree(top).filter(|(_, node)| node.children == 0 && node.name() == LIMITS);
        let paths: BTreeSet<String> = leaves.map(|(id, _)| super::node_ref::path_text(&self.nodes, id)).collect();
        for path in paths {
            if let Some((prefix, _)) = quota_node(&path) {
                if !exact {
                    self.recompute_usage(prefix);
                }
                self.quotas.prefixes.insert(prefix.into());
            }
        }
    }
}
