//! `quorate sim exhaust`: every order of events of a small ensemble, on several threads.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use quorate_sim::exhaust::{self, Bounds, Choices, Found, Progress, Root, SCHEMA, Seen, State};
use quorate_sim::scenario::{self, Problem};
use serde::Serialize;

use super::args::{Exhaust, Replay};
use super::fuzz::Stop;
use super::replay::usage;
use super::{SimExit, one, output};
use crate::process;
use crate::serve::print;

/// Parts of the space for each thread: few enough that all is soon begun, enough that no thread is idle at the end.
const ROOTS: usize = 16;
/// Locks of the set of states that were seen.
const SHARDS: usize = 64;
/// A line of progress after so long.
const TELL: Duration = Duration::from_secs(5);

/// What all threads share.
struct Shared<'a> {
    seen: Vec<Mutex<HashSet<u64>>>,
    sum: Mutex<(Progress, Instant)>,
    until: Option<Instant>,
    stop: &'a Stop,
    found: AtomicBool,
    name: String,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen for Shared<'_> {
    fn is_new(&self, digest: u64) -> bool {
        locked(&self.seen[digest as usize % SHARDS]).insert(digest)
    }

    fn go_on(&self, done: &Progress) -> bool {
        let mut sum = locked(&self.sum);
        sum.0 = sum.0.and(done);
        if sum.1.elapsed() >= TELL {
            sum.1 = Instant::now();
            let p = &sum.0;
            eprintln!("{}: {} states, {} choices, {}", self.name, p.states, p.steps, percent(p.covered));
        }
        !self.is_over()
    }
}

impl Shared<'_> {
    fn is_over(&self) -> bool {
        self.stop.is_set() || self.found.load(Ordering::Relaxed) || self.until.is_some_and(|at| Instant::now() >= at)
    }
}

/// How far the search within some bounds has come.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    #[serde(flatten)]
    bounds: Bounds,
    mutant: Option<String>,
    /// Nothing is left.
    complete: bool,
    /// Of the tree of choices, 0 to 1, if what is below each choice of a state weighs the same.
    covered: f64,
    states: u64,
    choices: u64,
    ends: u64,
    depth: u64,
    seconds: f64,
    cpu_s: f64,
    states_per_cpu_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    invariant: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip)]
    found: Option<Found>,
}

fn percent(covered: f64) -> String {
    let percent = covered * 100.0;
    if percent >= 0.01 || percent <= 0.0 { format!("{percent:.2} %") } else { format!("{percent:.1e} %") }
}

fn name(bounds: &Bounds) -> String {
    let Bounds { servers, writes, crashes, cuts, lapses } = *bounds;
    let said = [("server", servers), ("write", writes)].into_iter();
    let others = [("crash", crashes), ("cut", cuts), ("lapse", lapses)].into_iter().filter(|(_, n)| *n > 0);
    let several = |what: &str| if what == "crash" { "es" } else { "s" };
    let words = said.chain(others).map(|(what, n)| format!("{n} {what}{}", if n == 1 { "" } else { several(what) }));
    words.collect::<Vec<_>>().join(", ")
}

/// Searches within these bounds on so many threads.
#[must_use]
pub fn round(bounds: Bounds, mutant: Option<&str>, jobs: usize, until: Option<Instant>, stop: &Stop) -> Round {
    let began = Instant::now();
    let shared = Shared {
        seen: (0..SHARDS).map(|_| Mutex::default()).collect(),
        sum: Mutex::new((Progress::default(), began)),
        until,
        stop,
        found: AtomicBool::new(false),
        name: name(&bounds),
    };
    // What is broken on the way there needs no choice.
    let begin = || {
        State::start(&bounds, mutant, false)
            .map_err(|violation| Found { choices: Vec::new(), violation: violation.into() })
    };
    let cpu_before = process::thread_cpu();
    let first = begin().and_then(|start| exhaust::roots(&start, ROOTS * jobs, &shared));
    let cpu = Mutex::new(process::thread_cpu().saturating_sub(cpu_before));
    let next = AtomicUsize::new(0);
    let found: Mutex<Option<Found>> = Mutex::default();
    match first {
        Err(violation) => *locked(&found) = Some(violation),
        Ok(roots) => thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    let before = process::thread_cpu();
                    if let Some(violation) = work(&begin, &roots, &next, &shared) {
                        shared.found.store(true, Ordering::Relaxed);
                        locked(&found).get_or_insert(violation);
                    }
                    *locked(&cpu) += process::thread_cpu().saturating_sub(before);
                });
            }
        }),
    }
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let complete = found.is_none() && !shared.is_over();
    let (p, cpu_s) = (locked(&shared.sum).0, locked(&cpu).as_secs_f64());
    if let Some(long) = found.take() {
        found = Some(exhaust::shorten(&bounds, mutant, long));
    }
    Round {
        bounds,
        mutant: mutant.map(str::to_owned),
        complete,
        covered: if complete { 1.0 } else { p.covered.min(1.0) },
        states: p.states + 1,
        choices: p.steps,
        ends: p.ends,
        depth: p.depth,
        seconds: began.elapsed().as_secs_f64(),
        cpu_s,
        states_per_cpu_s: if cpu_s > 0.001 { (p.states + 1) as f64 / cpu_s } else { 0.0 },
        invariant: found.as_ref().map(|f| f.violation.invariant),
        text: found.as_ref().map(|f| f.violation.text.clone()),
        file: None,
        found,
    }
}

/// One thread: root after root.
fn work(
    begin: &(impl Fn() -> Result<State, Found> + Sync),
    roots: &[Root],
    next: &AtomicUsize,
    shared: &Shared<'_>,
) -> Option<Found> {
    let start = begin().ok()?;
    while !shared.is_over() {
        let root = roots.get(next.fetch_add(1, Ordering::Relaxed))?;
        if let Some(found) = exhaust::search(&start, root, shared) {
            return Some(found);
        }
    }
    None
}

impl Round {
    fn words(&self) -> String {
        let how = if self.complete { "everything".to_owned() } else { percent(self.covered) };
        let mut out = format!(
            "{}: {how}: {} states, {} choices, at most {} in a row, {} ends; {:.1} CPU s, {:.0} states a CPU second\n",
            name(&self.bounds),
            self.states,
            self.choices,
            self.depth,
            self.ends,
            self.cpu_s,
            self.states_per_cpu_s
        );
        if let Some(found) = &self.found {
            let before = if found.choices.is_empty() { " before the first choice" } else { "" };
            let _ = writeln!(out, "  {}{before}: {}", found.violation.invariant, found.violation.text);
            for choice in &found.choices {
                let _ = writeln!(out, "    {choice}");
            }
        }
        if let Some(file) = &self.file {
            let _ = writeln!(out, "  again: quorate sim replay {}", file.display());
        }
        out
    }

    fn save(&mut self, dir: &Path) {
        let Some(found) = &self.found else { return };
        let choices = Choices {
            schema: SCHEMA.into(),
            mutant: self.mutant.clone(),
            bounds: self.bounds,
            choices: found.choices.clone(),
            breaks: Some(found.violation.invariant.into()),
        };
        let planted = self.mutant.as_deref().map_or_else(String::new, |id| format!("{id}-"));
        let file = dir.join(format!("quorate-{planted}choices-{}.json", found.violation.invariant));
        let made = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&file, choices.to_json()));
        match made {
            Ok(()) => self.file = Some(file),
            Err(e) => eprintln!("{}: {e}", file.display()),
        }
    }
}

/// `quorate sim exhaust`.
#[must_use]
pub fn exhaust(options: &Exhaust) -> SimExit {
    let mutant = options.mutant.as_deref();
    if let Some(id) = mutant
        && let Err(e) = one::can_plant(id)
    {
        return usage(&e);
    }
    if let Err(e) = output::ready_dir(&options.out) {
        return usage(&e);
    }
    let Exhaust { servers, writes, crashes, cuts, lapses, .. } = *options;
    let end = options.budget.map(|budget| Instant::now() + budget);
    let stop = Stop::on_signals();
    // With few crashes first: those spaces are small, and what is broken in them is easily seen. Each has its part of what is left
    // of the time.
    let most = crashes;
    for crashes in 0..=most {
        let until = end.map(|end| {
            let now = Instant::now();
            now + end.saturating_duration_since(now) / (most - crashes + 1)
        });
        let bounds = Bounds { servers, writes, crashes, cuts, lapses };
        let mut round = round(bounds, mutant, usize::from(options.jobs), until, &stop);
        round.save(&options.out);
        if options.json {
            print(&format!("{}\n", serde_json::to_string(&round).unwrap_or_default()));
        } else {
            print(&round.words());
        }
        match round.invariant {
            Some(invariant) => return exit(invariant),
            None if stop.is_set() => return SimExit::Stopped,
            None => {}
        }
    }
    SimExit::Clean
}

/// `quorate sim replay` of a list of choices.
#[must_use]
pub fn replay(options: &Replay, text: &str) -> SimExit {
    let name = options.file.display().to_string();
    if options.shown.html.is_some() || options.shown.messages {
        return usage(&format!("{name}: a list of choices has no picture and no messages; --trace tells each choice"));
    }
    let at = |field: &str, what: &str| usage(&Problem::at(&name, text, field, what).to_string());
    let mut choices: Choices = match serde_json::from_str(text) {
        Ok(choices) => choices,
        Err(e) => return usage(&Problem::unreadable(&name, text, &e).to_string()),
    };
    if let Err(e) = choices.bounds.check() {
        let (key, what) = e.split_once(": ").unwrap_or(("", &e));
        return at(&format!("bounds.{key}"), what);
    }
    if let Some(what) = choices.breaks.as_deref().and_then(scenario::unknown_invariant) {
        return at("breaks", &what);
    }
    if let Some(Err(e)) = choices.mutant.as_deref().map(one::can_plant) {
        return at("mutant", &e);
    }
    if let Some(id) = &options.mutant {
        if let Err(e) = one::can_plant(id) {
            return usage(&e);
        }
        choices.mutant = Some(id.clone());
    }
    let mut line = |text: &str| println!("{text}");
    let done = choices.replay(options.shown.trace.then_some(&mut line as &mut dyn FnMut(&str)));
    if let Some((n, instead)) = &done.stuck {
        let instead: Vec<String> = instead.iter().map(ToString::to_string).collect();
        let which = choices.choices[n - 1];
        let what = format!("{which} cannot happen here; what can: {}", instead.join(", "));
        return at(&format!("choices[{}]", n - 1), &what);
    }
    let broken = done.violation.as_ref().map(|v| v.invariant);
    let expected = broken == choices.breaks.as_deref();
    if options.json {
        let text = done.violation.as_ref().map(|v| v.text.as_str());
        let value = serde_json::json!({"choices": choices.choices.len(), "invariant": broken, "text": text, "as_expected": expected});
        print(&format!("{value}\n"));
    } else {
        print(&match &done.violation {
            Some(v) => format!("{}: {}\n", v.invariant, v.text),
            None => format!("nothing is broken by these {} choices\n", choices.choices.len()),
        });
        if !expected {
            let what = format!(
                "expected {}, got {}",
                choices.breaks.as_deref().unwrap_or("nothing"),
                broken.unwrap_or("nothing")
            );
            print(&format!("  not as expected: {}\n", Problem::at(&name, text, "breaks", what)));
        }
    }
    broken.map_or(if expected { SimExit::Clean } else { SimExit::Unexpected }, exit)
}

fn exit(invariant: &str) -> SimExit {
    match invariant {
        "panic" => SimExit::Panic,
        _ if invariant.starts_with('L') => SimExit::Liveness,
        _ => SimExit::Violation,
    }
}
