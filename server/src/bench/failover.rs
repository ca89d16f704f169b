//! From the death of a leader to the next acknowledged write.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::client::Session;
use super::load::{Kind, Load, Until};
use super::report::{Floor, Row};
use super::request::Request;
use super::servers::{Ensemble, Shape};
use super::{Setting, VALUE, rounds};

const PATH: &str = "/failover";

/// After this a write is not awaited any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// An attempt that hangs longer is made anew.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Seconds without writes, of three servers.
pub fn measure(setting: &Setting) -> io::Result<Vec<Row>> {
    let mut states = Vec::new();
    for side in &setting.sides {
        let ensemble = Ensemble::start(setting, side, "failover", Shape::THREE)?;
        Session::open(ensemble.addresses()[0])?.ensure(PATH)?;
        eprintln!("  warming up {side}");
        Load::open(&ensemble.addresses(), Kind::Set)?.run(setting, Until::Elapsed(setting.warm_up / 2))?;
        states.push(ensemble);
    }
    let seconds = rounds(setting, setting.rounds, &mut states, |ensemble| one_round(setting, ensemble))?;
    Ok(vec![Row::new("leader killed to next acknowledged write".into(), "s", seconds, Floor::OfOther(1.0))])
}

fn one_round(setting: &Setting, ensemble: &mut Ensemble) -> io::Result<f64> {
    let leader = ensemble.leader(setting)?;
    let mut survivors = ensemble.addresses();
    survivors.remove(leader);
    let began = Instant::now();
    ensemble.kill(leader)?;
    let seconds = first_write(&survivors, began)?;
    ensemble.spawn(leader)?;
    ensemble.wait_until_serving(setting)?;
    Ok(seconds)
}

/// A client that tries all the survivors at once: the first write that any of them acknowledges.
fn first_write(servers: &[SocketAddr], began: Instant) -> io::Result<f64> {
    let (acknowledged, first) = mpsc::channel();
    for server in servers.iter().copied() {
        let acknowledged = acknowledged.clone();
        thread::spawn(move || {
            while began.elapsed() < PATIENCE {
                let written =
                    Session::open_within(server, ATTEMPT).and_then(|mut s| s.call(Request::Set(PATH, &VALUE)));
                // Nobody listens any more once another was first.
                if written.is_ok() && acknowledged.send(began.elapsed().as_secs_f64()).is_ok() {
                    return;
                }
                thread::sleep(Duration::from_millis(2));
            }
        });
    }
    first.recv_timeout(PATIENCE).map_err(|_| io::Error::other("no write was acknowledged within a minute"))
}
