//! A small ensemble in every order of events.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use quorate_sim::exhaust::{Bounds, Progress, Seen, State, search};

#[derive(Default)]
struct All {
    seen: RefCell<HashSet<u64>>,
    total: Cell<Progress>,
    most: u64,
}

impl Seen for All {
    fn is_new(&self, digest: u64) -> bool {
        self.seen.borrow_mut().insert(digest)
    }
    fn go_on(&self, done: &Progress) -> bool {
        let mut t = self.total.get();
        t.states += done.states;
        t.steps += done.steps;
        t.ends += done.ends;
        t.depth = t.depth.max(done.depth);
        t.covered += done.covered;
        self.total.set(t);
        t.states < self.most
    }
}

#[test]
fn measure() {
    for (writes, crashes) in [(2,0),(1, 1)] {
        let bounds = Bounds { servers: 3, writes, crashes, cuts: 0, lapses: 0 };
        let t = std::time::Instant::now();
        let start = State::start(&bounds, None, false).expect("starts");
        let began = t.elapsed();
        println!("{:?}", start.choices());
        let all = All { most: 300_000, ..All::default() };
        let t = std::time::Instant::now();
        let found = search(&start, &[], 1.0, &all);
        let p = all.total.get();
        println!("{writes} {crashes}: start {began:?} {p:?} {:?} {:.0}/s", t.elapsed(), p.states as f64 / t.elapsed().as_secs_f64());
        println!("{found:?}");
    }
}
