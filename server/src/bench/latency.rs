//! One write at a time: what a lone client waits for.

use std::io;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::client::Session;
use super::load::{Kind, Load, Until};
use super::report::{Floor, Row};
use super::request::Request;
use super::servers::{Ensemble, Shape};
use super::{Setting, VALUE, rounds};

const PATH: &str = "/latency";

struct Lone {
    /// Owns the server process.
    _ensemble: Ensemble,
    session: Session,
    p99: Vec<f64>,
}

/// Median and 99th percentile of a set's latency, in milliseconds.
pub fn measure(setting: &Setting) -> io::Result<Vec<Row>> {
    let mut states = Vec::new();
    for side in &setting.sides {
        let ensemble = Ensemble::start(setting, side, "latency", Shape::STANDALONE)?;
        eprintln!("  warming up {side}");
        Load::open(&ensemble.addresses(), Kind::Set)?.run(setting, Until::Elapsed(setting.warm_up))?;
        let mut session = Session::open(ensemble.addresses()[0])?;
        session.ensure(PATH)?;
        states.push(Lone { _ensemble: ensemble, session, p99: Vec::new() });
    }
    let p50 = rounds(setting, setting.rounds, &mut states, |state| one_round(setting, state))?;
    let p99 = states.into_iter().map(|s| s.p99).collect();
    Ok(vec![
        Row::new("one set at a time: p50".into(), "ms", p50, Floor::OfOther(1.0)),
        Row::new("one set at a time: p99".into(), "ms", p99, Floor::None),
    ])
}

fn one_round(setting: &Setting, state: &mut Lone) -> io::Result<f64> {
    let mut histogram = Histogram::<u64>::new(3).map_err(io::Error::other)?;
    let began = Instant::now();
    while began.elapsed() < setting.round {
        setting.go_on()?;
        let sent = Instant::now();
        state.session.call(Request::Set(PATH, &VALUE))?;
        let nanoseconds = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        histogram.record(nanoseconds).map_err(io::Error::other)?;
    }
    let ms = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e6;
    state.p99.push(ms(0.99));
    Ok(ms(0.5))
}
