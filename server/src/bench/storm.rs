//! Many clients at once: what their coming costs, and what they hold.

use std::io;
use std::time::{Duration, Instant};

use super::crowd::{Crowd, News};
use super::report::{Floor, Row};
use super::request::{ReplyHeader, Request, expect_session};
use super::servers::{Ensemble, Shape, connections};
use super::{Setting, VALUE, rounds};

struct Stormed {
    ensemble: Ensemble,
    rates: Vec<f64>,
}

/// CPU time of a connect with its session, and memory of an idle session.
pub fn measure(setting: &Setting) -> io::Result<Vec<Row>> {
    let count = connections();
    let (mut states, mut memory) = (Vec::new(), Vec::new());
    for side in &setting.sides {
        let ensemble = Ensemble::start(setting, side, "storm", Shape::STANDALONE)?;
        eprintln!("  warming up {side}");
        let fresh = ensemble.resident()?;
        let crowd = Crowd::gather(setting, ensemble.addresses()[0], count)?;
        memory.push(vec![(ensemble.resident()? - fresh) / count as f64]);
        crowd.leave(setting)?;
        states.push(Stormed { ensemble, rates: Vec::new() });
    }
    let cpu = rounds(setting, setting.rounds, &mut states, |state| {
        let (began, before) = (Instant::now(), state.ensemble.cpu_seconds()?);
        let crowd = Crowd::gather(setting, state.ensemble.addresses()[0], count)?;
        state.rates.push(count as f64 / began.elapsed().as_secs_f64());
        let cpu = (state.ensemble.cpu_seconds()? - before) * 1e6 / count as f64;
        crowd.leave(setting)?;
        Ok(cpu)
    })?;
    let rates = states.into_iter().map(|s| s.rates).collect();
    Ok(vec![
        Row::new(format!("storm of {count} connects: server CPU"), "µs/op", cpu, Floor::OfOther(0.25)),
        Row::new(format!("storm of {count} connects: rate"), "op/s", rates, Floor::None),
        Row::new(format!("resident memory per session, of {count}"), "B", memory, Floor::AtMost(SESSION_BYTES)),
    ])
}

/// What an idle session may cost.
const SESSION_BYTES: f64 = 1500.0;

/// Clients at a time that come for one ephemeral znode and go.
const VISITORS: usize = 64;

/// Connect, create an ephemeral znode, close the session: the znode goes with it.
pub fn visits(setting: &Setting) -> io::Result<Vec<Row>> {
    let mut states = Vec::new();
    for side in &setting.sides {
        let ensemble = Ensemble::start(setting, side, "visits", Shape::STANDALONE)?;
        eprintln!("  warming up {side}");
        visit(setting, &ensemble, setting.warm_up)?;
        states.push(ensemble);
    }
    let cpu = rounds(setting, setting.rounds, &mut states, |ensemble| {
        let before = ensemble.cpu_seconds()?;
        let visits = visit(setting, ensemble, setting.round)?;
        Ok((ensemble.cpu_seconds()? - before) * 1e6 / visits as f64)
    })?;
    let name = "connect, create an ephemeral, close: server CPU";
    // Three quarters of ours are the kernel's, for connections and fsync; Java's server pays as much for them.
    Ok(vec![Row::new(name.into(), "µs/op", cpu, Floor::OfOther(0.4))])
}

/// How many visits were made within that time.
fn visit(setting: &Setting, ensemble: &Ensemble, limit: Duration) -> io::Result<u64> {
    let mut crowd = Crowd::new(ensemble.addresses()[0])?;
    (0..VISITORS).try_for_each(|n| crowd.connect(n))?;
    let (began, mut visits) = (Instant::now(), 0);
    // Frames that each visitor has got.
    let mut got = [0; VISITORS];
    let mut gone = Vec::new();
    let mut open = VISITORS;
    while open > 0 {
        crowd.turn(setting, |n, news, out| {
            match (news, got[n]) {
                (News::Frame(body), 0) => {
                    expect_session(body)?;
                    Request::CreateEphemeral(&format!("/visitor-{n:02}"), &VALUE).encode(1, out);
                }
                (News::Frame(body), 1) => {
                    ReplyHeader::of(body)?.expect(1)?;
                    Request::CloseSession.encode(2, out);
                }
                (News::Frame(body), 2) => ReplyHeader::of(body)?.expect(2)?,
                (News::End, 3) => {
                    visits += 1;
                    gone.push(n);
                }
                (other, so_far) => return Err(io::Error::other(format!("{other:?} after {so_far} frames"))),
            }
            got[n] += 1;
            Ok(())
        })?;
        for n in gone.drain(..) {
            if began.elapsed() < limit {
                got[n] = 0;
                crowd.connect(n)?;
            } else {
                open -= 1;
            }
        }
    }
    Ok(visits)
}
