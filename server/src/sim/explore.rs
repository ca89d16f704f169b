//! `quorate sim explore`: what exploration gains over plain seeds, measured by planted bugs.

use std::time::Duration;

use quorate_sim::RunSpec;
use quorate_sim::explore::{Explorer, Mix};

use super::args::Explore;
use super::one;
use super::{SimExit, replay};
use crate::process;
use crate::serve::print;

/// One hunt.
#[derive(Clone, Copy, Debug)]
struct Trial {
    cpu: Duration,
    runs: u64,
    tuples: u64,
    kept: bool,
    killed: bool,
}

fn fails_by_itself(spec: &RunSpec) -> bool {
    let spec = RunSpec { mutant: None, ..spec.clone() };
    one::run(&spec, None, false).failed()
}

fn plain(id: &str, base: u64, budget: Duration) -> Trial {
    let begin = process::thread_cpu();
    let mut seed = base;
    loop {
        let spec = RunSpec { mutant: Some(id.into()), ..RunSpec::seeded(seed) };
        seed += 1;
        let killed = one::run(&spec, None, false).failed() && !fails_by_itself(&spec);
        let cpu = process::thread_cpu().saturating_sub(begin);
        if killed || cpu > budget {
            return Trial { cpu, runs: seed - base, tuples: 0, kept: false, killed };
        }
    }
}

fn exploring(id: &str, base: u64, budget: Duration, mix: Mix) -> Trial {
    let begin = process::thread_cpu();
    let mut explorer = Explorer::new(base, mix);
    let mut runs = 0;
    loop {
        let spec = explorer.next();
        let changed = spec != RunSpec::seeded(spec.seed);
        let spec = RunSpec { mutant: Some(id.into()), ..spec };
        let ran = one::run_reaching(&spec);
        runs += 1;
        let killed = ran.failed() && !fails_by_itself(&spec);
        if let Some(outcome) = ran.outcome.as_ref().filter(|_| !killed) {
            explorer.learn(RunSpec { mutant: None, ..spec }, outcome);
        }
        let cpu = process::thread_cpu().saturating_sub(begin);
        if killed || cpu > budget {
            return Trial { cpu, runs, tuples: explorer.reached.count(), kept: changed, killed };
        }
    }
}

/// Kills by way over the whole budget.
fn rates(id: &str, base: u64, budget: Duration, mix: Mix) {
    let begin = process::thread_cpu();
    let mut explorer = Explorer::new(base, mix);
    let mut table = [(0_u64, 0_u64, Duration::ZERO, 0_u64); 5];
    let mut before = begin;
    while before.saturating_sub(begin) < budget {
        let spec = RunSpec { mutant: Some(id.into()), ..explorer.next() };
        let way = explorer.way;
        let ran = one::run_reaching(&spec);
        let now = process::thread_cpu();
        table[way].0 += 1;
        table[way].2 += now.saturating_sub(before);
        let killed = ran.failed() && !fails_by_itself(&spec);
        table[way].1 += u64::from(killed);
        if let Some(outcome) = ran.outcome.as_ref().filter(|_| !killed) {
            table[way].3 += explorer.learn(RunSpec { mutant: None, ..spec }, outcome);
        }
        before = process::thread_cpu();
    }
    let names = ["fresh", "branch", "again", "change", "stir"];
    let mut text = format!("{id} {base} {} tuples:", explorer.reached.count());
    for (name, (runs, kills, cpu, new)) in names.iter().zip(table) {
        text += &format!("  {name} {kills}/{runs} {:.1}s +{new}", cpu.as_secs_f64());
    }
    print(&(text + "\n"));
}

/// `quorate sim explore`: a line for each trial, then a table of medians.
#[must_use]
pub fn explore(options: &Explore) -> SimExit {
    for id in &options.ids {
        if let Err(e) = one::can_plant(id) {
            return replay::usage(&e);
        }
    }
    let mix = match options.mix[..] {
        [fresh, branch, again, change, coarse] => Mix { fresh, branch, again, change, coarse: coarse > 0 },
        _ => Mix::default(),
    };
    if options.rates {
        options.ids.iter().for_each(|id| rates(id, options.base, options.budget, mix));
        return SimExit::Clean;
    }
    let mut rows = String::from(
        "| id | plain: CPU s (seeds) | exploring: CPU s (runs) | ratio | wins |\n| --- | --- | --- | --- | --- |\n",
    );
    for id in &options.ids {
        let mut pairs = Vec::new();
        for n in 0..options.trials {
            let base = options.base + n * 100_000;
            let pair = [plain(id, base, options.budget), exploring(id, base, options.budget, mix)];
            for (way, t) in ["plain", "exploring"].iter().zip(&pair) {
                let Trial { runs, killed, tuples, kept, .. } = t;
                let cpu = t.cpu.as_secs_f64();
                print(&format!(
                    "{{\"id\":\"{id}\",\"way\":\"{way}\",\"base\":{base},\"cpu_s\":{cpu:.3},\"runs\":{runs},\"killed\":{killed},\"tuples\":{tuples},\"changed\":{kept}}}\n",
                ));
            }
            pairs.push(pair);
        }
        rows += &row(id, &pairs, options.budget);
    }
    print(&rows);
    SimExit::Clean
}

/// A row of the table. What was not killed counts as later than everything.
fn row(id: &str, pairs: &[[Trial; 2]], budget: Duration) -> String {
    let order = |t: &Trial| if t.killed { t.cpu } else { budget.max(t.cpu) * 2 };
    let median = |way: usize| {
        let mut list: Vec<&Trial> = pairs.iter().map(|p| &p[way]).collect();
        list.sort_by_key(|t| order(t));
        let (a, b) = (list[(list.len() - 1) / 2], list[list.len() / 2]);
        (a.killed && b.killed).then(|| ((a.cpu + b.cpu).as_secs_f64() / 2.0, (a.runs + b.runs) / 2))
    };
    let word = |m: Option<(f64, u64)>| {
        m.map_or(format!("over {}", budget.as_secs()), |(cpu, runs)| format!("{cpu:.1} ({runs})"))
    };
    let (plain, exploring) = (median(0), median(1));
    let ratio = plain.zip(exploring).map_or("–".into(), |(p, e)| format!("{:.2}", e.0 / p.0));
    let wins = pairs.iter().filter(|p| order(&p[1]) < order(&p[0])).count();
    let losses = pairs.iter().filter(|p| order(&p[1]) > order(&p[0])).count();
    format!("| {id} | {} | {} | {ratio} | {wins} : {losses} |\n", word(plain), word(exploring))
}
