//! A walk writes the tree as it was when it began, whatever happens meanwhile.

use quickcheck::{QuickCheck, TestResult};
use quorate_core::ids::Zxid;
use quorate_core::tree::DataTree;

use crate::body::Body;
use crate::model::Model;
use crate::random::{Draws, Pair};

/// Checks the bytes of a whole walk against the state at its start.
fn assert_point_in_time(bytes: &[u8], start: &Model) {
    let (body, used) = Body::read(bytes);
    assert_eq!(used, bytes.len(), "the body ends with the closing \"/\"");
    let ids: std::collections::BTreeSet<i64> = body.acls.iter().map(|(id, _)| *id).collect();
    assert!(ids.len() == body.acls.len() && !ids.contains(&-1), "ACL ids are distinct");
    assert_eq!(&body.model(), start);
    let mut tree = DataTree::new(3, true);
    body.load(&mut tree, Zxid(9)).expect("our own bytes load");
    start.assert_same(&tree);
}

#[test]
fn a_walk_while_changing_is_the_state_at_its_start() {
    fn run(before: Draws, during: Draws, chunk: u8) -> TestResult {
        let mut pair = Pair::new();
        for i in 0..before.len() {
            pair.step(&before[i..]);
        }
        let start = pair.model.clone();
        pair.tree.begin_walk();
        let (mut bytes, mut complete) = (Vec::new(), false);
        for i in 0..during.len() {
            pair.step(&during[i..]);
            if !during[i].0.is_multiple_of(3) && !complete {
                let had = bytes.len();
                complete = pair.tree.walk(usize::from(chunk), &mut bytes);
                assert!(bytes.len() - had <= usize::from(chunk).max(1), "steps are bounded");
            }
        }
        while !complete {
            complete = pair.tree.walk(usize::from(chunk), &mut bytes);
        }
        assert_point_in_time(&bytes, &start);
        pair.model.assert_same(&pair.tree);
        // The next one starts afresh.
        pair.tree.begin_walk();
        let mut again = Vec::new();
        assert!(pair.tree.walk(usize::MAX / 2, &mut again));
        assert_point_in_time(&again, &pair.model);
        TestResult::passed()
    }
    QuickCheck::new().tests(150).quickcheck(run as fn(Draws, Draws, u8) -> TestResult);
}

#[test]
fn a_walk_can_be_given_up_at_any_point() {
    fn run(before: Draws, during: Draws, steps: u8) -> TestResult {
        let mut pair = Pair::new();
        for i in 0..before.len() {
            pair.step(&before[i..]);
        }
        pair.tree.begin_walk();
        let mut bytes = Vec::new();
        for i in 0..during.len() {
            pair.step(&during[i..]);
            if i < usize::from(steps % 8) {
                pair.tree.walk(50, &mut bytes);
            }
        }
        pair.tree.cancel_walk();
        assert!(!pair.tree.is_walking());
        pair.model.assert_same(&pair.tree);
        pair.tree.begin_walk();
        bytes.clear();
        while !pair.tree.walk(100, &mut bytes) {}
        assert_point_in_time(&bytes, &pair.model);
        TestResult::passed()
    }
    QuickCheck::new().tests(100).quickcheck(run as fn(Draws, Draws, u8) -> TestResult);
}

#[test]
fn the_empty_tree_has_the_bytes_of_a_new_server() {
    let file = include_bytes!("../vectors/storage/v395-standalone/version-2/snapshot.0");
    let (java, _) = Body::read(&file[16..]);
    let mut tree = DataTree::new(1, true);
    tree.begin_walk();
    let mut bytes = Vec::new();
    assert!(tree.walk(1 << 20, &mut bytes));
    let (ours, used) = Body::read(&bytes);
    assert_eq!(used, bytes.len());
    assert_eq!(ours.write(), bytes);
    assert_eq!(ours.model(), java.model());
    assert_eq!(ours.sessions, java.sessions);
    assert_eq!(ours.acls, java.acls);
}
