//! Quotas (client-protocol 10): limits and usage are texts below /zookeeper/quota.

use bytes::Bytes;
use quorate_core::error::ErrorCode;

use super::{Model, Znode};

pub(super) const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "/zookeeper_limits";
const STATS: &str = "/zookeeper_stats";

/// A number of a text like `count=5,bytes=100=;byteHardLimit=200`; `None` for none and for -1.
fn number(text: &[u8], key: &str) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let pairs = text.split([',', ';']).filter_map(|pair| pair.split_once('='));
    let found = pairs.filter(|(k, _)| *k == key).filter_map(|(_, v)| v.trim_end_matches('=').parse().ok()).next_back();
    found.filter(|n| *n != -1)
}

impl Model {
    /// The deepest subtree with limits that holds `path`, at this zxid.
    fn limited<'a>(&self, path: &'a str, at: i64) -> Option<&'a str> {
        let mut top = path;
        let mut name = String::with_capacity(ROOT.len() + path.len() + LIMITS.len());
        while !top.is_empty() && top != "/" {
            name.clear();
            name.extend([ROOT, top, LIMITS]);
            let limits = self.znodes.get(&name);
            if limits.is_some_and(|n| n.at(at).is_some()) {
                return Some(top);
            }
            top = &top[..top.rfind('/')?];
        }
        None
    }

    fn text_at(&self, path: &str, at: i64) -> Option<&[u8]> {
        self.znodes.get(path)?.at(at)?.data.as_deref()
    }

    /// Hard limits: against what was used where the leader's tree stood, whatever was under way.
    pub(super) fn check_quota(&self, at: i64, path: &str, count: i64, bytes: i64) -> Result<(), ErrorCode> {
        let Some(top) = self.rules.enforce_quota.then(|| self.limited(path, at)).flatten() else { return Ok(()) };
        let of = |name, key| self.text_at(&format!("{ROOT}{top}{name}"), at).and_then(|text| number(text, key));
        for (key, hard, more) in [("count", "countHardLimit", count), ("bytes", "byteHardLimit", bytes)] {
            if let (Some(used), Some(limit)) = (of(STATS, key), of(LIMITS, hard).filter(|n| *n > -1))
                && more != 0
                && used + more > limit
            {
                return Err(ErrorCode::QuotaExceeded);
            }
        }
        Ok(())
    }

    /// A znode came, went or changed its length by so much: usage follows, without a trace in the stat.
    pub(super) fn account(&mut self, zxid: i64, path: &str, count: i64, bytes: i64) {
        if let Some(top) = path.strip_prefix(ROOT).and_then(|rest| rest.strip_suffix(STATS))
            && count > 0
            && top.starts_with('/')
        {
            let (count, bytes) = self.usage(top);
            self.write_usage(zxid, path, count as i64, bytes as i64);
        }
        let last = self.last;
        let Some(top) = self.limited(path, last) else { return };
        let stats = format!("{ROOT}{top}{STATS}");
        let Some(text) = self.text_at(&stats, last) else { return };
        match (number(text, "count"), number(text, "bytes")) {
            (Some(c), Some(b)) => self.write_usage(zxid, &stats, c + count, b + bytes),
            _ => {
                let (count, bytes) = self.usage(top);
                self.write_usage(zxid, &stats, count as i64, bytes as i64);
            }
        }
    }

    fn write_usage(&mut self, zxid: i64, stats: &str, count: i64, bytes: i64) {
        let Some(node) = self.znodes.get_mut(stats) else { return };
        let Some(mut state) = node.now().cloned() else { return };
        state.data = Some(Bytes::from(format!("count={count},bytes={bytes}")));
        node.put(zxid, Some(state));
        self.aging.push_back((zxid, stats.into()));
    }

    /// Znodes and bytes of a subtree, its top among them.
    pub(super) fn usage(&self, top: &str) -> (usize, usize) {
        let below = format!("{top}/");
        let own = self.znodes.get(top).into_iter();
        let range = self.znodes.range((std::ops::Bound::Excluded(below.as_str()), std::ops::Bound::Unbounded));
        let rest = range.take_while(|(p, _)| p.starts_with(&below)).map(|(_, node)| node);
        let (mut count, mut bytes) = (0, 0);
        for state in own.chain(rest).filter_map(Znode::now) {
            count += 1;
            bytes += state.data.as_ref().map_or(0, |d| d.len());
        }
        (count, bytes)
    }
}
