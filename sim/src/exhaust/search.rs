//! Depth first through all choices, each state once.

use std::collections::VecDeque;

use super::{Bounds, Choice, State};
use crate::observe::Violation;

/// Knows which states were seen.
pub trait Seen {
    /// Whether this digest is new; from now on it is not.
    fn is_new(&self, digest: u64) -> bool;
    /// Whether to go on, asked now and then with what was done since the last time.
    fn go_on(&self, done: &Progress) -> bool;
}

/// What was done since the last time.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Progress {
    /// States that were new.
    pub states: u64,
    /// Choices made.
    pub steps: u64,
    /// States without a choice: everything has happened.
    pub ends: u64,
    /// Most choices in a row.
    pub depth: u64,
    /// The part of the tree of choices that is done, if what is below each choice of a state weighs the same. From 0 to 1.
    pub covered: f64,
}

impl Progress {
    /// Both together.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            states: self.states + other.states,
            steps: self.steps + other.steps,
            ends: self.ends + other.ends,
            depth: self.depth.max(other.depth),
            covered: self.covered + other.covered,
        }
    }
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// From the start.
    pub choices: Vec<Choice>,
    /// What they break.
    pub violation: Box<Violation>,
}

/// How many states lie between two questions whether to go on.
const ASK: u64 = 256;

/// Where a part of the space begins.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Root {
    /// From the start.
    pub path: Vec<Choice>,
    /// What is below it, of the whole.
    pub weight: f64,
}

impl Root {
    /// The whole space.
    #[must_use]
    pub const fn whole() -> Self {
        Self { path: Vec::new(), weight: 1.0 }
    }
}

/// Parts of the space, at least so many if there are: what is above them was tried, breadth first.
///
/// # Errors
/// What was found on the way.
pub fn roots(start: &State, least: usize, seen: &dyn Seen) -> Result<Vec<Root>, Found> {
    let mut done = Progress::default();
    let mut queue = VecDeque::from([(start.clone(), Root::whole())]);
    while queue.len() < least
        && let Some((state, Root { path, weight })) = queue.pop_front()
    {
        let mut level = level(state, weight, &mut done);
        while let Some((choice, mut next)) = level.next() {
            let mut path = path.clone();
            path.push(choice);
            done.steps += 1;
            if let Err(violation) = next.take(choice) {
                seen.go_on(&done);
                return Err(Found { choices: path, violation: violation.into() });
            }
            if seen.is_new(next.digest()) {
                done.states += 1;
                done.depth = done.depth.max(path.len() as u64);
                queue.push_back((next, Root { path, weight: level.weight }));
            } else {
                done.covered += level.weight;
            }
        }
    }
    seen.go_on(&done);
    Ok(queue.into_iter().map(|(_, root)| root).collect())
}

struct Level {
    /// Until the last choice takes it.
    state: Option<State>,
    left: Vec<Choice>,
    /// Of each choice.
    weight: f64,
}

/// Everything that can follow this root. `None`: nothing is broken, or it was told to stop.
pub fn search(start: &State, root: &Root, seen: &dyn Seen) -> Option<Found> {
    let mut state = start.clone();
    for (i, choice) in root.path.iter().enumerate() {
        if let Err(violation) = state.take(*choice) {
            return Some(Found { choices: root.path[..=i].to_vec(), violation: violation.into() });
        }
    }
    let mut made = root.path.clone();
    let mut done = Progress::default();
    let mut levels = vec![level(state, root.weight, &mut done)];
    while let Some(top) = levels.last_mut() {
        let Some((choice, mut next)) = top.next() else {
            levels.pop();
            if !levels.is_empty() {
                made.pop();
            }
            continue;
        };
        let weight = top.weight;
        made.push(choice);
        done.steps += 1;
        if let Err(violation) = next.take(choice) {
            seen.go_on(&done);
            return Some(Found { choices: made, violation: violation.into() });
        }
        if seen.is_new(next.digest()) {
            done.states += 1;
            done.depth = done.depth.max(made.len() as u64);
            levels.push(level(next, weight, &mut done));
        } else {
            made.pop();
            done.covered += weight;
        }
        if done.steps >= ASK && !seen.go_on(&std::mem::take(&mut done)) {
            return None;
        }
    }
    seen.go_on(&done);
    None
}

fn level(state: State, weight: f64, done: &mut Progress) -> Level {
    let mut left = state.choices();
    left.reverse();
    if left.is_empty() {
        done.ends += 1;
        done.covered += weight;
    }
    let weight = weight / left.len().max(1) as f64;
    Level { state: Some(state), left, weight }
}

impl Level {
    /// The next choice, and the state to make it in.
    fn next(&mut self) -> Option<(Choice, State)> {
        let choice = self.left.pop()?;
        let state = if self.left.is_empty() { self.state.take() } else { self.state.clone() };
        Some((choice, state?))
    }
}

/// The same violation with as few choices as leaving out single ones gives; a choice that cannot be made any more is skipped.
#[must_use]
pub fn shorten(bounds: &Bounds, mutant: Option<&str>, found: Found) -> Found {
    let mut best = found;
    let Ok(start) = State::start(bounds, mutant, false) else { return best };
    loop {
        let before = best.choices.len();
        let mut at = before;
        while at > 0 {
            at -= 1;
            let mut fewer = best.choices.clone();
            if at >= fewer.len() {
                continue;
            }
            fewer.remove(at);
            if let Some(found) = follow(&start, &fewer)
                && found.violation.invariant == best.violation.invariant
            {
                best = found;
            }
        }
        if best.choices.len() == before {
            return best;
        }
    }
}

/// Makes these choices as far as they can be made, up to the first violation.
fn follow(start: &State, choices: &[Choice]) -> Option<Found> {
    let mut state = start.clone();
    let mut made = Vec::new();
    for choice in choices {
        if !state.allows(*choice) {
            continue;
        }
        made.push(*choice);
        if let Err(violation) = state.take(*choice) {
            return Some(Found { choices: made, violation: violation.into() });
        }
    }
    None
}
