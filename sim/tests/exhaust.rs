//! A small ensemble in every order of events.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use quorate_sim::exhaust::{Bounds, Choice, Choices, Found, Progress, Root, SCHEMA, Seen, State, roots, search};

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
        Ok(start) => search(&start, &Root::whole(), &all),
        Err(violation) => Some(Found { choices: Vec::new(), violation: violation.into() }),
    };
    (found, all.total.get())
}

#[test]
fn two_writes_in_every_order() {
    let (found, done) = everything(&bounds(2, 0), None);
    assert!(found.is_none(), "{found:?}");
    assert!((done.covered - 1.0).abs() < 1e-9, "{done:?}");
    assert!(done.states > 500 && done.ends > 0, "{done:?}");
}

#[test]
fn a_crash_and_a_cut_anywhere() {
    for (bounds, least) in [(bounds(0, 1), 500), (Bounds { cuts: 1, ..bounds(1, 0) }, 100)] {
        let (found, done) = everything(&bounds, None);
        assert!(found.is_none(), "{bounds:?}: {found:?}");
        assert!((done.covered - 1.0).abs() < 1e-9 && done.states > least, "{bounds:?}: {done:?}");
    }
}

/// The parts together are the whole.
#[test]
fn parts_of_the_space() {
    for bounds in [bounds(2, 0), bounds(0, 1)] {
        let (_, whole) = everything(&bounds, None);
        let all = All::default();
        let start = State::start(&bounds, None, false).expect("starts");
        let parts = roots(&start, 20, &all).expect("nothing is broken");
        assert!(parts.len() >= 20, "{}", parts.len());
        for part in &parts {
            assert!(search(&start, part, &all).is_none());
        }
        let done = all.total.get();
        assert_eq!((done.states, done.steps, done.ends), (whole.states, whole.steps, whole.ends), "{bounds:?}");
        assert!((done.covered - 1.0).abs() < 1e-9);
    }
}

/// What Peers and disks did in other orders is looked up, and changes nothing.
#[test]
fn what_is_remembered_is_what_happens() {
    let bounds = Bounds { cuts: 1, lapses: 1, ..bounds(2, 2) };
    let start = || State::start(&bounds, None, true).expect("starts");
    let one = start();
    for walk in 0..80_usize {
        // Of these each knows what the walks before it have seen, in one half of them the latest of it only; the others remember
        // nothing.
        let (mut known, mut fresh) = (one.clone(), start());
        known.remember(if walk < 40 { 50_000 } else { 300 });
        fresh.remember(0);
        assert_eq!(known.take_trace(), fresh.take_trace());
        for step in 0..400_usize {
            let choices = known.choices();
            assert_eq!(choices, fresh.choices(), "walk {walk}, choice {step}");
            if choices.is_empty() {
                break;
            }
            let choice = choices[(walk * 31 + step * 17 + step * step * 7) % choices.len()];
            for state in [&mut known, &mut fresh] {
                state.take(choice).unwrap_or_else(|v| panic!("walk {walk}, {choice}: {v:?}"));
            }
            assert_eq!(known.take_trace(), fresh.take_trace(), "walk {walk}, {choice}");
        }
    }
}

/// Its fsync was a choice when it lost its leader, and is none while it recovers: once it was never done, and the server, which was
/// told nothing more, kept the search going for ever.
#[test]
fn a_server_that_loses_its_leader_while_it_cuts_its_log_comes_back() {
    let bounds = bounds(1, 2);
    let mut state = State::start(&bounds, None, false).expect("starts");
    let path = "write s3, crash s3 keep, deliver s3 s1, deliver s3 s2, restart s3, deliver s3 s2, disk s2 log, deliver s2 s3, \
        disk s3 log, deliver s3 s2, deliver s2 s3, time, deliver s1 s2, deliver s2 s1, disk s1 log, deliver s1 s2, disk s2 log, \
        deliver s2 s1, disk s1 log, deliver s1 s2, deliver s2 s1, deliver s1 s2, time, deliver s3 s2, deliver s2 s3, \
        deliver s3 s2, deliver s2 s3, crash s2 lose, deliver s2 s1, deliver s2 s3";
    for choice in path.split(", ") {
        let choice: Choice = choice.parse().expect("a choice");
        assert!(state.allows(choice), "{choice}");
        state.take(choice).expect("nothing is broken");
    }
    let rest = std::iter::from_fn(|| {
        let choice = state.choices().first().copied()?;
        state.take(choice).expect("nothing is broken");
        Some(choice)
    });
    let rest: Vec<Choice> = rest.take(300).collect();
    assert!(rest.len() < 300, "it goes on without end: {:?}", &rest[290..]);
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
