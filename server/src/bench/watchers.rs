//! One change and everybody who wants to hear of it.

use std::io;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::client::Session;
use super::crowd::{Crowd, News};
use super::load::{Kind, Load, Until};
use super::report::{Floor, Row};
use super::request::{ReplyHeader, Request};
use super::servers::{Ensemble, Shape, connections, connections_of_both_ends};
use super::{Setting, VALUE, bare, rounds};

const PATH: &str = "/watched";

/// What a round has found out.
struct Told {
    /// Microseconds of server CPU per event.
    cpu: f64,
    /// Milliseconds from the set to the event, of the last percent.
    p99: f64,
}

struct Watched {
    ensemble: Ensemble,
    /// By what is watched for.
    told: Vec<Told>,
}

/// One znode, thousands of watchers.
pub fn fan_out(setting: &Setting) -> io::Result<Vec<Row>> {
    let count = connections();
    let mut rows = Vec::new();
    for (name, one_shot) in [("one-shot", true), ("persistent", false)] {
        let mut states = Vec::new();
        for side in &setting.sides {
            let ensemble = Ensemble::start(setting, side, &format!("fan-out-{name}"), Shape::STANDALONE)?;
            Session::open(ensemble.addresses()[0])?.ensure(PATH)?;
            eprintln!("  warming up {side}");
            one_round(setting, &ensemble, one_shot, count)?;
            states.push(Watched { ensemble, told: Vec::new() });
        }
        let cpu = rounds(setting, setting.rounds, &mut states, |state| {
            let told = one_round(setting, &state.ensemble, one_shot, count)?;
            let cpu = told.cpu;
            state.told.push(told);
            Ok(cpu)
        })?;
        let p99 = states.iter().map(|s| s.told.iter().map(|t| t.p99).collect()).collect();
        let name = format!("{count} watchers, {name}");
        rows.push(Row::new(format!("{name}: server CPU per event"), "µs/op", cpu, Floor::OfOther(0.2)));
        rows.push(Row::new(format!("{name}: p99 from set to event"), "ms", p99, Floor::OfOther(1.0)));
    }
    eprintln!("  the same bytes from a bare loop");
    // Both ends are this process's.
    let count = count.min(connections_of_both_ends());
    let name = format!("the same bytes to {count}: CPU per send");
    rows.push(Row::beside(
        "bare loop",
        name,
        "µs/op",
        bare::sends(setting.rounds, setting.round, count, || setting.go_on())?,
    ));
    Ok(rows)
}

/// Sets, each followed by the events of all, until the time is over; three at least. One-shot watches are set again in
/// between, which does not count.
fn one_round(setting: &Setting, ensemble: &Ensemble, one_shot: bool, count: usize) -> io::Result<Told> {
    let mut crowd = Crowd::gather(setting, ensemble.addresses()[0], count)?;
    let mut writer = Session::open(ensemble.addresses()[0])?;
    if !one_shot {
        crowd.ask(setting, |_| PATH.to_owned(), |path| Request::AddWatch(path, false))?;
    }
    let mut histogram = Histogram::<u64>::new(3).map_err(io::Error::other)?;
    let (mut cpu, mut sets, began) = (0.0, 0, Instant::now());
    while sets < 3 || began.elapsed() < setting.round {
        if one_shot {
            crowd.ask(setting, |_| PATH.to_owned(), |path| Request::GetWatched(path))?;
        }
        let before = ensemble.cpu_seconds()?;
        set_and_hear(setting, &mut writer, PATH, &mut crowd, count, &mut histogram)?;
        cpu += ensemble.cpu_seconds()? - before;
        sets += 1;
    }
    crowd.leave(setting)?;
    let p99 = histogram.value_at_quantile(0.99) as f64 / 1e6;
    Ok(Told { cpu: cpu * 1e6 / (sets * count) as f64, p99 })
}

/// One set; how long each of so many events took to arrive, and the answer awaited.
fn set_and_hear(
    setting: &Setting,
    writer: &mut Session,
    path: &str,
    crowd: &mut Crowd,
    events: usize,
    histogram: &mut Histogram<u64>,
) -> io::Result<()> {
    let (began, mut heard) = (Instant::now(), 0);
    writer.send(Request::Set(path, &VALUE))?;
    while heard < events {
        crowd.turn(setting, |_, news, _| match news {
            News::Frame(body) if ReplyHeader::of(body)?.xid == ReplyHeader::EVENT => {
                heard += 1;
                let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                histogram.record(nanoseconds).map_err(io::Error::other)
            }
            other => Err(io::Error::other(format!("{other:?} instead of an event"))),
        })?;
    }
    writer.receive()
}

/// Recursive watchers.
const RECURSIVE: usize = 1000;

/// Znodes below the watched ones, a hundred below each parent.
const ZNODES: u64 = 100_000;

struct Forest {
    ensemble: Ensemble,
    crowd: Crowd,
    writer: Session,
    changes: u64,
}

/// A thousand recursive watches on a tree of many znodes: all at its top, or each at a part of its own.
pub fn recursive(setting: &Setting) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for at_top in [true, false] {
        let mut states = Vec::new();
        for side in &setting.sides {
            let ensemble = Ensemble::start(setting, side, &format!("recursive-{at_top}"), Shape::STANDALONE)?;
            eprintln!("  {side}: {ZNODES} znodes");
            let address = ensemble.addresses()[0];
            let mut writer = Session::open(address)?;
            writer.ensure("/top")?;
            (0..RECURSIVE).try_for_each(|n| writer.ensure(&part(n)))?;
            Load::open(&[address], Kind::Forest)?.run(setting, Until::Sent(ZNODES))?;
            let mut crowd = Crowd::gather(setting, address, RECURSIVE)?;
            let path = |n| if at_top { "/top".to_owned() } else { part(n) };
            crowd.ask(setting, path, |path| Request::AddWatch(path, true))?;
            eprintln!("  warming up {side}");
            let mut forest = Forest { ensemble, crowd, writer, changes: 0 };
            forest.round(setting, at_top)?;
            states.push(forest);
        }
        let cpu = rounds(setting, setting.rounds, &mut states, |forest| forest.round(setting, at_top))?;
        let name =
            if at_top { "at the top: server CPU per event" } else { "at parts: server CPU per set with its event" };
        // What the kernel takes to send one event is about a fifth of all that Java takes.
        let floor = Floor::OfOther(1.0 / 3.0);
        rows.push(Row::new(format!("{RECURSIVE} recursive watchers {name}"), "µs/op", cpu, floor));
    }
    Ok(rows)
}

/// The part of the tree that the `n`th watcher may watch.
fn part(n: usize) -> String {
    Load::part_of(n as u64)
}

impl Forest {
    /// Microseconds of server CPU.
    fn round(&mut self, setting: &Setting, at_top: bool) -> io::Result<f64> {
        let before = self.ensemble.cpu_seconds()?;
        let count = if at_top { self.all_hear(setting)? } else { self.each_hears(setting)? };
        Ok((self.ensemble.cpu_seconds()? - before) * 1e6 / count as f64)
    }

    /// Another leaf of this part, each time.
    fn leaf(&mut self, part: usize) -> String {
        self.changes += 1;
        let turn = self.changes % (ZNODES / RECURSIVE as u64);
        Load::leaf_of(turn * RECURSIVE as u64 + part as u64)
    }

    /// One set after the other, all hear of each; how many events there were.
    fn all_hear(&mut self, setting: &Setting) -> io::Result<usize> {
        let mut histogram = Histogram::<u64>::new(3).map_err(io::Error::other)?;
        let (began, mut events) = (Instant::now(), 0);
        while began.elapsed() < setting.round {
            let leaf = self.leaf(events / RECURSIVE % RECURSIVE);
            set_and_hear(setting, &mut self.writer, &leaf, &mut self.crowd, RECURSIVE, &mut histogram)?;
            events += RECURSIVE;
        }
        Ok(events)
    }

    /// Every member sets leaves below the watch of the next one, one at a time; how many sets there were.
    fn each_hears(&mut self, setting: &Setting) -> io::Result<usize> {
        let leaves: Vec<String> = (0..RECURSIVE).map(|n| self.leaf((n + 1) % RECURSIVE)).collect();
        for (n, leaf) in leaves.iter().enumerate() {
            self.crowd.send(n, Request::Set(leaf, &VALUE))?;
        }
        let (began, mut sent, mut answered, mut heard) = (Instant::now(), RECURSIVE, 0, 0);
        while answered < sent || heard < sent {
            self.crowd.turn(setting, |n, news, out| {
                let News::Frame(body) = news else { return Err(io::Error::other("a connection has ended")) };
                let header = ReplyHeader::of(body)?;
                if header.xid == ReplyHeader::EVENT {
                    heard += 1;
                    return Ok(());
                }
                header.expect(header.xid)?;
                answered += 1;
                if began.elapsed() < setting.round {
                    sent += 1;
                    Request::Set(&leaves[n], &VALUE).encode(header.xid, out);
                }
                Ok(())
            })?;
        }
        Ok(sent)
    }
}
