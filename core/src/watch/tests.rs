//! The event table of client-protocol 7.2 row by row, and the manager against a plain model.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use quickcheck::quickcheck;

use crate::ids::LinkId;
use crate::watch::{WatchManager, WatchMode, WatchTotals, WatcherType};
use crate::wire::client::EventKind::{self, ChildrenChanged, Created, DataChanged, Deleted};

use WatchMode::{Child, Data, Persistent, Recursive};

const MODES: [WatchMode; 4] = [Data, Child, Persistent, Recursive];
const TYPES: [WatcherType; 5] =
    [WatcherType::Children, WatcherType::Data, WatcherType::Any, WatcherType::Persistent, WatcherType::Recursive];
const KINDS: [EventKind; 4] = [Created, Deleted, DataChanged, ChildrenChanged];

fn fire(watches: &mut WatchManager, kind: EventKind, path: &str) -> Vec<u64> {
    let mut fired = Vec::new();
    watches.fire_at(kind, path, &mut fired);
    assert!(fired.iter().all(|(_, k)| *k == kind));
    fired.into_iter().map(|(link, _)| link.0).collect()
}

/// Link 1 watches with the mode; whether the event reaches it, and whether the watch is still there.
fn one(mode: WatchMode, at: &str, kind: EventKind, path: &str) -> (bool, bool) {
    let mut watches = WatchManager::new(3);
    watches.add(at, LinkId(1), mode);
    let told = !fire(&mut watches, kind, path).is_empty();
    (told, watches.contains(at, LinkId(1), WatcherType::Any))
}

#[test]
fn who_hears_of_which_change() {
    const KEPT: (bool, bool) = (true, true);
    const USED: (bool, bool) = (true, false);
    const DEAF: (bool, bool) = (false, true);
    for (mode, created, deleted, data, children) in [
        (Data, USED, USED, USED, DEAF),
        (Child, DEAF, USED, DEAF, USED),
        (Persistent, KEPT, KEPT, KEPT, KEPT),
        (Recursive, KEPT, KEPT, KEPT, DEAF),
    ] {
        assert_eq!(one(mode, "/p", Created, "/p"), created, "{mode:?}");
        assert_eq!(one(mode, "/p", Deleted, "/p"), deleted, "{mode:?}");
        assert_eq!(one(mode, "/p", DataChanged, "/p"), data, "{mode:?}");
        assert_eq!(one(mode, "/p", ChildrenChanged, "/p"), children, "{mode:?}");
        // Of what happens below only a recursive watch hears; of what happens beside or above, none.
        for kind in [Created, Deleted, DataChanged] {
            for at in ["/p", "/"] {
                assert_eq!(one(mode, at, kind, "/p/x/y"), if mode == Recursive { KEPT } else { DEAF }, "{mode:?}");
            }
            assert_eq!(one(mode, "/p", kind, "/px"), DEAF);
            assert_eq!(one(mode, "/p/x", kind, "/p"), DEAF);
        }
        assert_eq!(one(mode, "/p", ChildrenChanged, "/p/x"), DEAF);
    }
}

#[test]
fn all_modes_of_one_connection_at_one_path_coexist() {
    let mut watches = WatchManager::new(3);
    for mode in MODES {
        watches.add("/p", LinkId(1), mode);
        watches.add("/p", LinkId(1), mode);
    }
    // Told once; both one-shot watches are used up although a persistent one is there.
    assert_eq!(fire(&mut watches, Deleted, "/p"), [1]);
    let left: Vec<bool> = TYPES.iter().map(|t| watches.contains("/p", LinkId(1), *t)).collect();
    assert_eq!(left, [false, false, true, true, true]);
    assert!(watches.remove("/p", LinkId(1), WatcherType::Persistent));
    assert!(!watches.remove("/p", LinkId(1), WatcherType::Persistent));
    assert_eq!(fire(&mut watches, ChildrenChanged, "/p"), []);
    assert_eq!(fire(&mut watches, DataChanged, "/p"), [1]);
    assert!(watches.remove("/p", LinkId(1), WatcherType::Any));
    assert_eq!(watches.count(), 0);
}

#[test]
fn a_deleted_node_is_told_to_data_watchers_then_ancestors_then_child_watchers() {
    let mut watches = WatchManager::new(3);
    watches.add("/p/x", LinkId(5), Child);
    watches.add("/", LinkId(4), Recursive);
    watches.add("/p", LinkId(3), Recursive);
    watches.add("/p/x", LinkId(2), Data);
    watches.add("/p/x", LinkId(1), Persistent);
    watches.add("/p/x", LinkId(3), Data);
    watches.add("/p/x", LinkId(2), Child);
    assert_eq!(fire(&mut watches, Deleted, "/p/x"), [2, 1, 3, 4, 5]);
    assert_eq!(fire(&mut watches, Created, "/p/x"), [1, 3, 4]);
}

#[test]
fn an_ancestors_one_shot_watch_is_untouched() {
    let mut watches = WatchManager::new(3);
    watches.add("/p", LinkId(1), Data);
    watches.add("/p", LinkId(1), Recursive);
    assert_eq!(fire(&mut watches, DataChanged, "/p/x"), [1]);
    assert!(watches.contains("/p", LinkId(1), WatcherType::Data));
}

#[test]
fn lists_show_the_data_table() {
    let mut watches = WatchManager::new(3);
    watches.add("/b", LinkId(1), Data);
    watches.add("/a", LinkId(1), Persistent);
    watches.add("/a", LinkId(2), Recursive);
    watches.add("/c", LinkId(3), Child);
    assert_eq!(watches.totals(), WatchTotals { connections: 2, paths: 2, watches: 3 });
    assert_eq!(watches.count(), 5);
    let by_link: Vec<_> = watches.by_link().into_iter().map(|(link, paths)| (link.0, paths.join(" "))).collect();
    assert_eq!(by_link, [(1, "/a /b".to_string()), (2, "/a".to_string())]);
    let by_path: Vec<_> = watches.by_path().into_iter().collect();
    assert_eq!(by_path, [("/a".into(), alloc::vec![LinkId(1), LinkId(2)]), ("/b".into(), alloc::vec![LinkId(1)])]);
    watches.remove_link(LinkId(1));
    watches.remove_link(LinkId(1));
    assert_eq!(watches.totals(), WatchTotals { connections: 1, paths: 1, watches: 1 });
}

/// (path, link) to the four modes, in the plainest way.
#[derive(Default)]
struct Model(BTreeMap<(String, u64), [bool; 4]>);

impl Model {
    fn fire(&mut self, kind: EventKind, path: &str) -> Vec<u64> {
        let mut told = Vec::new();
        for ((at, link), modes) in &mut self.0 {
            let exact = at == path;
            let below = at == "/" || path.starts_with(&alloc::format!("{at}/"));
            let data = kind != ChildrenChanged;
            let child = matches!(kind, ChildrenChanged | Deleted);
            let hears = (exact && data && modes[0])
                || (exact && child && modes[1])
                || (exact && modes[2])
                || ((exact || below) && data && modes[3]);
            if hears {
                told.push(*link);
            }
            if exact {
                modes[0] &= !data;
                modes[1] &= !child;
            }
        }
        self.0.retain(|_, modes| modes.contains(&true));
        told.sort_unstable();
        told.dedup();
        told
    }
}

quickcheck! {
    fn as_the_plain_model_does(steps: Vec<(u8, u8, u8, u8)>) -> bool {
        const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/a/d"];
        let (mut watches, mut model) = (WatchManager::new(11), Model::default());
        steps.iter().all(|(what, path, link, how)| {
            let (path, link, how) = (PATHS[usize::from(path % 6)], u64::from(link % 4), usize::from(*how));
            match what % 8 {
                0..=3 => {
                    watches.add(path, LinkId(link), MODES[how % 4]);
                    model.0.entry((path.into(), link)).or_default()[how % 4] = true;
                }
                4 => {
                    watches.remove_link(LinkId(link));
                    model.0.retain(|(_, l), _| *l != link);
                }
                5 => {
                    let kind = TYPES[how % 5];
                    let named: &[usize] = match kind {
                        WatcherType::Children => &[1],
                        WatcherType::Data => &[0],
                        WatcherType::Any => &[0, 1, 2, 3],
                        WatcherType::Persistent => &[2],
                        WatcherType::Recursive => &[3],
                    };
                    let modes = model.0.entry((path.into(), link)).or_default();
                    let had = named.iter().any(|m| modes[*m]);
                    named.iter().for_each(|m| modes[*m] = false);
                    model.0.retain(|_, modes| modes.contains(&true));
                    if watches.contains(path, LinkId(link), kind) != had
                        || watches.remove(path, LinkId(link), kind) != had
                    {
                        return false;
                    }
                }
                _ => {
                    let mut told = fire(&mut watches, KINDS[how % 4], path);
                    told.sort_unstable();
                    if told != model.fire(KINDS[how % 4], path) {
                        return false;
                    }
                }
            }
            let data = model.0.values().filter(|m| m[0] || m[2] || m[3]).count();
            let child = model.0.values().filter(|m| m[1] || m[2]).count();
            watches.count() == data + child && watches.totals().watches == data
        })
    }
}
