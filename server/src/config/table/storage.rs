//! Directories, transaction log, snapshots, retention, catching up.

use quorate_core::config::Compression;

use crate::config::key::Property::{File, Named, Zookeeper};
use crate::config::key::{Key, Rule};
use crate::config::settings::Settings;

const MAX: i64 = i32::MAX as i64;
const HOUR: i64 = 3_600_000;

const fn int(min: i64, max: i64, set: fn(&mut Settings, i64)) -> Rule {
    Rule::Int { min, max, set }
}

/// KiB as bytes; not positive = off.
fn kib(v: i64) -> u64 {
    u64::try_from(v).unwrap_or(0).saturating_mul(1024)
}

#[rustfmt::skip]
pub(super) static KEYS: &[Key] = &[
    Key::new("dataDir", File, "path", "none: required", Rule::Text(|s, v| { s.data_dir = Some(path(v)?); Ok(()) }),
        "Snapshots, myid, and the log where dataLogDir is not set; files are under version-2.")
        .show(|c| c.data_dir.join("version-2").display().to_string()),
    Key::new("dataLogDir", File, "path", "dataDir", Rule::Text(|s, v| { s.data_log_dir = Some(path(v)?); Ok(()) }),
        "Transaction logs; a device of its own keeps writes fast.")
        .show(|c| c.data_log_dir.join("version-2").display().to_string()),
    Key::new("datadir.autocreate", Zookeeper, "", "true", Rule::Flag(|s, v| s.datadir_autocreate = v),
        "Create missing data directories; with false a missing one ends the start with exit code 3."),
    Key::new("db.autocreate", Zookeeper, "", "true", Rule::Flag(|s, v| s.peer.storage.autocreate = v),
        "With false an empty server joins without a vote unless the file `initialize` stands beside myid."),
    Key::new("snapCount", Zookeeper, "txns", "100000", int(2, MAX, |s, v| s.peer.storage.snap_count = u64::try_from(v).unwrap_or(2)),
        "A snapshot is taken, and a new log begun, after between half and all of this many transactions."),
    Key::new("snapSizeLimitInKb", Zookeeper, "KiB", "4194304", int(i64::MIN, i64::MAX, |s, v| s.peer.storage.snap_size_bytes = kib(v)),
        "The same by bytes of log; 0 or less = off."),
    Key::new("preAllocSize", Zookeeper, "KiB", "65536", int(0, MAX, |s, v| s.peer.storage.prealloc_bytes = kib(v)),
        "Log files grow in steps of this; 0 = off."),
    Key::new("txnLogSizeLimitInKb", Zookeeper, "KiB", "-1", int(i64::MIN, i64::MAX, |s, v| s.peer.storage.log_size_limit = kib(v)),
        "A new log file is begun beyond this size; 0 or less = off."),
    Key::new("forceSync", Zookeeper, "", "yes", Rule::YesNo(|s, v| s.peer.storage.force_sync = v),
        "no = the log is not fsynced: a power failure loses acknowledged writes.")
        .java("Only yes and no are accepted; Java takes every other word for yes."),
    Key::new("fsync.warningthresholdms", Named("fsync.warningthresholdms"), "ms", "1000", int(0, MAX, |s, v| s.fsync_warning_ms = v),
        "An fsync of the log that takes longer is logged and counted."),
    Key::new("quorate.record", File, "", "", Rule::Text(|s, v| { s.record = Some(v.to_owned()); Ok(()) }),
        "Record everything that the core is told in this file, for `quorate sim replay`; `FILE.1` and `FILE.2` follow. It holds what \
         clients send, passwords included: only its owner may read it.")
        .java("Unknown to Java, which warns."),
    Key::new("quorate.recordSize", File, "MiB", "64", int(8, 1 << 20, |s, v| s.record_mib = v),
        "Bound of `quorate.record`: half for the beginning, the rest for the newest.")
        .java("Unknown to Java, which warns."),
    Key::new("autopurge.snapRetainCount", File, "snapshots", "3", int(i32::MIN as i64, MAX, |s, v| s.retain_count = v),
        "Snapshots that the purge keeps; fewer than 3 are raised to 3."),
    Key::new("autopurge.purgeInterval", File, "hours", "0", Rule::Text(|s, v| { s.peer.storage.purge_interval_ms = interval(v)?; Ok(()) }),
        "How often old snapshots and logs are purged; 0 = never.")
        .java("The suffixes ms, s, m, h and d of 3.10 are accepted."),
    Key::new("snapshot.trust.empty", Zookeeper, "", "false", Rule::Flag(|s, v| s.peer.storage.trust_empty = v),
        "Accept logs without any snapshot (upgrade from 3.4)."),
    Key::new("snapshot.compression.method", Zookeeper, "", "\"\"", Rule::Text(|s, v| { s.peer.storage.compression = compression(v)?; Ok(()) }),
        "Compression of snapshots: gz, snappy or nothing; snapshots of any kind are read.")
        .java("An unknown method is refused, where Java silently writes plain ones."),
    Key::new("digest.enabled", Zookeeper, "", "true", Rule::Flag(|s, v| s.peer.features.tree_digest = v),
        "Transactions and snapshots carry the digest of the tree, and every server compares it with its own."),
    Key::new("syncEnabled", Named("zookeeper.observer.syncEnabled"), "", "true", Rule::Flag(|s, v| s.peer.storage.observer_sync = v),
        "Observers keep a log on disk; with false they read what they missed from the leader after each start."),
    Key::new("commitLogCount", Zookeeper, "txns", "500", int(1, MAX, |s, v| s.peer.limits.window_count = usize::try_from(v).unwrap_or(1)),
        "Committed transactions kept in memory to bring learners up to date."),
    Key::new("snapshotSizeFactor", Zookeeper, "share", "0.33", Rule::Text(|s, v| { s.peer.storage.snapshot_size_factor_permille = permille(v)?; Ok(()) }),
        "How much log, as a share of the newest snapshot, is read to bring a learner up to date; negative = never."),
    Key::new("maxConcurrentSnapSyncs", Named("zookeeper.leader.maxConcurrentSnapSyncs"), "learners", "10", int(1, MAX, |s, v| s.peer.limits.max_snap_syncs = usize::try_from(v).unwrap_or(1)),
        "Snapshots sent to learners at once."),
    Key::new("maxConcurrentDiffSyncs", Named("zookeeper.leader.maxConcurrentDiffSyncs"), "learners", "100", int(1, MAX, |s, v| s.peer.limits.max_diff_syncs = usize::try_from(v).unwrap_or(1)),
        "Learners brought up to date from the log at once."),
    Key::new("flushDelay", Zookeeper, "ms", "0", Rule::NoEffect { same: &["0"], why: "while one fsync runs the next batch gathers; there is nothing to delay" },
        "Delay of the group commit."),
    Key::new("maxBatchSize", Zookeeper, "txns", "1000", Rule::NoEffect { same: &["1000"], why: "while one fsync runs the next batch gathers, whatever its size" },
        "Size of a group commit."),
    Key::new("maxWriteQueuePollTime", Zookeeper, "ms", "flushDelay / 3", Rule::NoEffect { same: &["0"], why: "while one fsync runs the next batch gathers; there is nothing to poll" },
        "Tuning of the group commit."),
    Key::new("serializeLastProcessedZxid.enabled", Zookeeper, "", "true", Rule::NoEffect { same: &["true"], why: "snapshots always end with the last processed zxid" },
        "Snapshots carry the last processed zxid."),
    Key::new("closeSessionTxn.enabled", Zookeeper, "", "true", Rule::NoEffect { same: &["true"], why: "a closeSession transaction always lists its ephemerals" },
        "closeSession transactions list the ephemerals."),
];

fn path(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected the path of a directory".to_owned()) } else { Ok(text.to_owned()) }
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "" => Ok(Compression::None),
        "gz" => Ok(Compression::Gzip),
        "snappy" => Ok(Compression::Snappy),
        _ => Err("expected an empty value, gz or snappy".to_owned()),
    }
}

fn interval(text: &str) -> Result<i64, String> {
    let expected = || "expected hours as a whole number from 0, or a number with ms, s, m, h or d".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "h" => HOUR,
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "d" => 24 * HOUR,
        _ => return Err(expected()),
    };
    let count: u32 = digits.trim_end().parse().map_err(|_| expected())?;
    Ok(i64::from(count) * unit)
}

fn permille(text: &str) -> Result<i64, String> {
    let factor: f64 = text.parse().ok().filter(|f: &f64| f.is_finite()).ok_or("expected a number such as 0.33")?;
    #[allow(clippy::cast_possible_truncation)] // clamped just before
    let permille = (factor * 1000.0).round().clamp(-1.0, 1e9) as i64;
    Ok(permille)
}
