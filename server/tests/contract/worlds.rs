//! The simulated and the real world around scripted machines.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use quorate_core::event::{Event, Outbox, Port};
use quorate_core::ids::Now;
use quorate_net::{Bind, Driver, Ended, FourLetterReply, Host, Limits, Ports, Settings};
use quorate_sim::RunSpec;
use quorate_sim::machine::{Machine, run_machines};
use quorate_sim::spec::Dist;

use crate::machines::{Addresses, Fact, Rule, Scripted};
use crate::properties::show;
use crate::{Folder, PATIENCE};

/// What each machine was told and did, in order.
pub(crate) type Facts = Vec<Vec<Fact>>;

/// Where machines live.
pub(crate) trait World {
    /// How often a case is worth repeating: another seed is another order of things.
    const SEEDS: u64;

    /// Runs these to their ends. The first listens (its rule says so at once) before the second starts.
    fn run(&mut self, seed: u64, machines: Vec<Rule>) -> Facts;
}

#[derive(Default)]
pub(crate) struct Simulated;

impl World for Simulated {
    const SEEDS: u64 = 12;

    fn run(&mut self, seed: u64, machines: Vec<Rule>) -> Facts {
        let mut spec = RunSpec::seeded(seed);
        spec.topology.voters = machines.len() as u32;
        spec.topology.groups.clear();
        spec.topology.observers = 0;
        spec.topology.clients = 0;
        // From hardly any delay to more than everything that is sent at once takes.
        let mean_us = [20, 300, 4000][seed as usize % 3];
        spec.network.delay = Dist::Exp { min_us: 10, mean_us };
        let addresses = Addresses {
            quorum: "s1:2888".into(),
            election: "s1:3888".into(),
            nowhere: ["s1:2181", "s99:2888", "not an address"].map(str::to_owned).into(),
        };
        let mut boxes: Vec<Box<dyn Machine>> = Vec::new();
        let mut facts = Vec::new();
        for rule in machines {
            let (machine, all) = Scripted::new(rule, addresses.clone());
            boxes.push(Box::new(machine));
            facts.push(all);
        }
        run_machines(&spec, boxes);
        ended(facts)
    }
}

/// All facts, when the machines have gone: each by its own will.
fn ended(facts: Vec<Receiver<Fact>>) -> Facts {
    let facts: Facts = facts.into_iter().map(|all| all.try_iter().collect()).collect();
    for (i, all) in facts.iter().enumerate() {
        assert!(all.contains(&Fact::Halt), "machine {i} waits for something: {}", show(all));
    }
    facts
}

#[derive(Default)]
pub(crate) struct Real;

/// Reports where it listens.
struct Quiet(Sender<(Port, SocketAddr)>);

impl Host<Scripted> for Quiet {
    fn event(&mut self, _: Now, _: &Event) {}
    fn four_letter(&mut self, _: Now, _: &Scripted, _: Option<SocketAddr>, word: [u8; 4]) -> FourLetterReply {
        panic!("nobody asks for {word:?}");
    }
    fn listening(&mut self, port: Port, address: SocketAddr) {
        // The first machine only is asked.
        let _ = self.0.send((port, address));
    }
}

impl World for Real {
    const SEEDS: u64 = 1;

    fn run(&mut self, _: u64, machines: Vec<Rule>) -> Facts {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nowhere = [free.to_string(), "no-such-host.invalid:1".into(), "not an address".into()];
        let mut addresses = Addresses { nowhere: nowhere.into(), ..Addresses::default() };
        let (mut threads, mut facts) = (Vec::new(), Vec::new());
        let count = machines.len();
        for rule in machines {
            let folder = Folder::new();
            let any = || Some(Bind { host: Some("127.0.0.1".into()), port: 0 });
            let ports = Ports { client: any(), quorum: any(), election: any(), ..Ports::default() };
            // A busy machine must not cut what is to arrive.
            let limits = Limits { linger_ms: 60_000, ..Limits::default() };
            let (sender, listening) = channel();
            let (machine, all) = Scripted::new(rule, addresses.clone());
            let settings = Settings { ports, dirs: folder.dirs(), limits };
            let driver = Driver::new(|_| Ok(machine), Quiet(sender), settings).unwrap();
            threads.push(thread::spawn(move || {
                let ended = driver.run();
                drop(folder);
                ended
            }));
            if threads.len() < count {
                for _ in 0..2 {
                    match listening.recv_timeout(PATIENCE).unwrap() {
                        (Port::Quorum, address) => addresses.quorum = address.to_string(),
                        (_, address) => addresses.election = address.to_string(),
                    }
                }
            }
            facts.push(all);
        }
        let until = Instant::now() + PATIENCE;
        while threads.iter().any(|t| !t.is_finished()) {
            if Instant::now() > until {
                facts.iter().for_each(|all| println!("{}", show(&all.try_iter().collect::<Vec<_>>())));
                panic!("a case does not end");
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        for thread in threads {
            assert!(matches!(thread.join().unwrap(), Ended::Halt(_)));
        }
        ended(facts)
    }
}

/// A rule of a closure.
pub(crate) fn rule(f: impl FnMut(&Fact, &mut Outbox) + Send + 'static) -> Rule {
    Box::new(f)
}
