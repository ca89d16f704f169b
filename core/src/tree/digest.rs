//! The tree's digest, version 2: a wrapping sum over znodes (storage-format section 7).

use crc32fast::Hasher;

use crate::wire::records::StatPersisted;

/// Znodes below this are not counted; the znode itself is.
const UNCOUNTED: &str = "/zookeeper/";

/// Whether the znode at this path is part of the digest.
#[must_use]
pub fn is_counted(path: &str) -> bool {
    !path.starts_with(UNCOUNTED)
}

/// What a znode with this path, data and stat adds to the tree's digest: 0 below /zookeeper/. The root's path is "" or "/".
#[must_use]
pub fn node_digest(path: &str, data: Option<&[u8]>, stat: &StatPersisted) -> u64 {
    if is_counted(path) { stat_digest(content_crc(path, data), stat) } else { 0 }
}

/// The part of [`node_digest`] that path and data make.
#[must_use]
pub fn content_crc(path: &str, data: Option<&[u8]>) -> u32 {
    let mut crc = Hasher::new();
    if path != "/" {
        crc.update(path.as_bytes());
    }
    crc.update(data.unwrap_or_default());
    crc.finalize()
}

/// The digest of a counted znode from its [`content_crc`] and its stat.
#[must_use]
pub fn stat_digest(content: u32, stat: &StatPersisted) -> u64 {
    let mut bytes = [0; StatPersisted::LEN];
    let longs = [stat.czxid.0, stat.mzxid.0, stat.pzxid.0, stat.ctime, stat.mtime];
    for (to, from) in bytes.chunks_exact_mut(8).zip(longs) {
        to.copy_from_slice(&from.to_be_bytes());
    }
    for (to, from) in bytes[40..52].chunks_exact_mut(4).zip([stat.version, stat.cversion, stat.aversion]) {
        to.copy_from_slice(&from.to_be_bytes());
    }
    bytes[52..].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    let mut crc = Hasher::new_with_initial(content);
    crc.update(&bytes);
    crc.finalize().into()
}

#[cfg(test)]
mod tests {
    use crate::tree::DataTree;
    use crate::wire::txn::TxnDigest;

    #[test]
    fn the_initial_tree_has_the_recorded_digest() {
        assert_eq!(DataTree::new(1, false).digest(), TxnDigest::INITIAL);
    }
}
