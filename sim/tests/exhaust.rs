//! A small ensemble in every order of events.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use quorate_sim::exhaust::{Bounds, Choices, Found, Marks, Progress, Root, SCHEMA, Seen, State, roots, search};

#[derive(Default)]
struct All {
    seen: RefCell<BTreeSet<u64>>,
    total: Cell<Progress>,
}

impl Seen for All {
    fn is_new(&self, digest: u64) -> bool {
        self.seen.borrow_mut().insert(digest)
    }
    fn go_on(&self, done: &Progress) -> bool {
        self.total.set(self.total.get().and(done));
        true
    }
}

const fn bounds(writes: u32, crashes: u32) -> Bounds {
    Bounds { servers: 3, writes, crashes, cuts: 0, lapses: 0 }
}

fn everything(bounds: &Bounds, mutant: Option<&str>) -> (Option<Found>, Progress) {
    let all = All::default();
    let found = match State::start(bounds, mutant, false) {
        Ok(start) => search(&start, &Root::whole(), &all, &mut Marks::default()),
        Err(violation) => Some(Found { choices: Vec::new(), violation: violation.into() }),
    };
    (found, all.total.get())
}

#[test]
fn two_writes_in_every_order() {
    let (found, done) = everything(&bounds(2, 0), None);
    assert!(found.is_none(), "{found:?}");
    assert!((done.covered - 1.0).abs() < 1e-9, "{done:?}");
    assert!(done.states > 1_000 && done.ends > 0, "{done:?}");
}

#[test]
fn a_crash_and_a_cut_anywhere() {
    for (bounds, least) in [(bounds(0, 1), 1_000), (Bounds { cuts: 1, ..bounds(1, 0) }, 100)] {
        let (found, done) = everything(&bounds, None);
        assert!(found.is_none(), "{bounds:?}: {found:?}");
        assert!((done.covered - 1.0).abs() < 1e-9 && done.states > least, "{bounds:?}: {done:?}");
    }
}

/// The parts together are the whole.
#[test]
fn parts_of_the_space() {
    let (_, whole) = everything(&bounds(2, 0), None);
    let all = All::default();
    let start = State::start(&bounds(2, 0), None, false).expect("starts");
    let mut marks = Marks::default();
    let parts = roots(&start, 20, &all, &mut marks).expect("nothing is broken");
    assert!(parts.len() >= 20, "{}", parts.len());
    for part in &parts {
        assert!(search(&start, part, &all, &mut marks).is_none());
    }
    let done = all.total.get();
    assert_eq!((done.states, done.steps, done.ends), (whole.states, whole.steps, whole.ends));
    assert!((done.covered - 1.0).abs() < 1e-9);
}

#[test]
fn a_list_of_choices_survives_its_file() {
    let bounds = bounds(1, 0);
    let mut state = State::start(&bounds, None, false).expect("starts");
    let mut choices = Vec::new();
    while let Some(choice) = state.choices().first().copied() {
        state.take(choice).expect("nothing is broken");
        choices.push(choice);
    }
    let list = Choices { schema: SCHEMA.into(), mutant: None, bounds, choices, breaks: None };
    let text = list.to_json();
    assert!(Choices::claims(&text));
    assert_eq!(Choices::parse("f", &text).as_ref(), Ok(&list));
    let mut lines = 0;
    let done = list.replay(Some(&mut |_| lines += 1));
    assert!(done.violation.is_none() && done.stuck.is_none() && lines > 50, "{done:?}, {lines} lines");
    for (bad, what) in [
        (text.replace("write s3", "write 3"), "is no server"),
        (text.replace("\"crashes\"", "\"crash\""), "unknown field `crash`"),
        (text.replace("choices-1", "choices-2"), "is not \"quorate-choices-1\""),
        (text.replace("\"servers\": 3", "\"servers\": 0"), "bounds.servers"),
    ] {
        let e = Choices::parse("f", &bad).expect_err(what);
        assert!(e.starts_with("f: ") && e.contains(what), "{e}");
    }
    let stuck =
        Choices { choices: list.choices[1..].to_vec(), ..list }.replay(None).stuck.expect("nothing was written");
    assert_eq!((stuck.0, stuck.1[0].to_string().as_str()), (1, "write s3"));
}

/// Each is found, and the shortened list of choices breaks the same.
#[test]
#[cfg(feature = "mutants")]
fn planted_bugs_are_found() {
    for (mutant, crashes, invariants) in
        [("K01", 0, &["Z13", "U1"][..]), ("K06", 0, &["Z3", "Z13", "Z2"]), ("B11", 1, &["Z13"]), ("B13", 1, &["Z13"])]
    {
        let bounds = bounds(1, crashes);
        let (found, done) = everything(&bounds, Some(mutant));
        assert!(done.states < 100_000, "{mutant}: {done:?}");
        let found = found.unwrap_or_else(|| panic!("{mutant} is not found"));
        let found = quorate_sim::exhaust::shorten(&bounds, Some(mutant), found);
        assert!(invariants.contains(&found.violation.invariant), "{mutant}: {found:?}");
        let list = Choices {
            schema: SCHEMA.into(),
            mutant: Some(mutant.into()),
            bounds,
            choices: found.choices,
            breaks: Some(found.violation.invariant.into()),
        };
        let again = list.replay(None).violation.expect("the same again");
        assert_eq!(Some(again.invariant), list.breaks.as_deref());
        let sound = Choices { mutant: None, ..list }.replay(None);
        assert!(sound.violation.is_none(), "{mutant}: {sound:?}");
    }
}
