//! The one table of keys. Parser, warnings, `conf` and the reference page read it.

mod absent;
mod ensemble;
mod limits;
mod security;
mod storage;

use super::key::{Key, Property};

/// The rows, by subject.
pub static GROUPS: &[(&str, &[Key])] = &[
    ("Ensemble and ports", ensemble::KEYS),
    ("Sessions, connections and limits", limits::KEYS),
    ("Log and snapshots", storage::KEYS),
    ("Authentication and TLS", security::KEYS),
    ("Features that are not there, and tuning of structures that this server does not have", absent::KEYS),
];

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|(_, keys)| keys.iter())
}

/// The row of a key as written in the file or after `-D`: its own name, its property, or `zookeeper.` before the name.
/// An exact name goes before a pattern, a longer pattern before a shorter one.
#[must_use]
pub fn find(written: &str) -> Option<&'static Key> {
    let bare = written.strip_prefix("zookeeper.").unwrap_or(written);
    all()
        .filter(|key| key.matches(bare) || is_property(key, written))
        .max_by_key(|key| (!key.name.ends_with('*'), key.name.len()))
}

fn is_property(key: &Key, written: &str) -> bool {
    matches!(key.property, Property::Named(name) if name == written || name.strip_prefix("zookeeper.") == Some(written))
}

/// Whether a name after `-D` can be a key at all: without the prefix only some properties are.
#[must_use]
pub fn is_property_name(written: &str) -> bool {
    written.starts_with("zookeeper.") || all().any(|k| matches!(k.property, Property::Named(name) if name == written))
}

/// The key that an unknown name may be meant to be.
#[must_use]
pub fn similar(unknown: &str) -> Option<&'static str> {
    let limit = 1 + usize::from(unknown.len() > 6);
    all()
        .filter(|k| !k.name.ends_with('*'))
        .map(|k| (distance(unknown, k.name), k.name))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Edits between two names, a change of case among them for nothing.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<u8>, Vec<u8>) = (a.to_ascii_lowercase().into_bytes(), b.to_ascii_lowercase().into_bytes());
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_rows_are_complete() {
        let mut names = BTreeSet::new();
        for key in all() {
            assert!(names.insert(key.name), "{} twice", key.name);
            assert!(key.effect.ends_with('.'), "{}: the effect is a sentence", key.name);
            assert!(key.java.is_empty() || key.java.ends_with('.'), "{}", key.name);
        }
    }

    #[test]
    fn lookup() {
        let name = |written| find(written).map(|k| k.name);
        assert_eq!(name("snapCount"), Some("snapCount"));
        assert_eq!(name("zookeeper.snapCount"), Some("snapCount"));
        assert_eq!(name("zookeeper.observer.syncEnabled"), Some("syncEnabled"));
        assert_eq!(name("observer.syncEnabled"), Some("syncEnabled"));
        assert_eq!(name("nio.sessionlessCnxnTimeout"), Some("nio.sessionlessCnxnTimeout"));
        assert_eq!(name("nio.numWorkerThreads"), Some("nio.*"));
        assert_eq!(name("ssl.quorum.keyStore.location"), Some("ssl.*"));
        assert_eq!(name("ssl.authProvider"), Some("ssl.authProvider"));
        assert_eq!(name("snapcount"), None);
        assert!(is_property_name("jute.maxbuffer") && !is_property_name("dataDir"));
    }

    #[test]
    fn suggestions() {
        assert_eq!(similar("tickTiem"), Some("tickTime"));
        assert_eq!(similar("snapcount"), Some("snapCount"));
        assert_eq!(similar("clientport"), Some("clientPort"));
        assert_eq!(similar("my.own.key"), None);
        assert_eq!(similar(""), None);
    }
}
