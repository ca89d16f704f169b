//! Two machines that do anything at any time: what holds for every case holds for them.

use std::collections::BTreeMap;

use quorate_core::error::CloseReason;
use quorate_core::event::{Action, Outbox};
use quorate_core::ids::LinkId;
use quorate_sim::rng::{Purpose, Stream};

use crate::both;
use crate::machines::Fact;
use crate::parties::{connect, dialer, links, listener, seeds};
use crate::properties::{ends, stories};
use crate::worlds::{Real, Simulated, World};

both!(Simulated, Real: whatever_two_machines_do);

/// One machine of [`whatever_two_machines_do`]: does something somewhere whenever it is told something.
struct Whim {
    stream: Stream,
    /// Links of the case, with what may still be done on each.
    open: BTreeMap<LinkId, u32>,
    over: usize,
}

impl Whim {
    fn new(seed: u64, number: u64) -> Self {
        Self { stream: Stream::new(seed, Purpose::Loop, number), open: BTreeMap::new(), over: 0 }
    }
    fn act(&mut self, out: &mut Outbox) {
        let links: Vec<LinkId> = self.open.keys().copied().collect();
        let Some(link) = self.stream.pick(&links) else { return };
        let left = self.open.get_mut(&link).unwrap();
        *left -= 1;
        if *left == 0 {
            self.open.remove(&link);
            self.over += 1;
            out.close(link, CloseReason::Done);
            return;
        }
        let length = self.stream.log_between(1, 200_000) as usize;
        let from = self.stream.below(251);
        let bytes: Vec<u8> = (from..from + length as u64).map(|i| (i * i) as u8).collect();
        match self.stream.below(7) {
            0 => out.push(Action::Pause(link)),
            1 | 2 => out.push(Action::Resume(link)),
            3 | 4 => out.send_shared(link, bytes.into()),
            _ => out.send(link, &bytes),
        }
    }
    fn told(&mut self, fact: &Fact) {
        match fact {
            Fact::Opened(link, ..) => _ = self.open.insert(*link, self.stream.between(2, 40) as u32),
            Fact::Closed(link) if self.open.remove(link).is_some() => self.over += 1,
            _ => {}
        }
    }
}

fn whatever_two_machines_do<W: World>(world: &mut W) {
    const LINKS: usize = 8;
    let case = |seed| {
        let (mut one, mut other) = (Whim::new(seed, 0), Whim::new(seed, 1));
        // The first link is for words, which keep both going until all others are over.
        let mut words = None;
        let accepts = listener(move |fact, out| {
            match fact {
                Fact::Opened(link, ..) if words.is_none() => words = Some(*link),
                Fact::Bytes(link, _) if words == Some(*link) => {
                    out.send(*link, if one.over == LINKS { b"o" } else { b"w" });
                }
                fact => one.told(fact),
            }
            one.act(out);
        });
        let (mut address, mut words) = (String::new(), LinkId::default());
        let connects = dialer(move |fact, out| {
            match fact {
                Fact::Started(addresses) => {
                    address = addresses.quorum.clone();
                    words = connect(out, &address);
                }
                Fact::Opened(link, ..) if *link == words => out.send(words, b"?"),
                Fact::Bytes(link, word) if *link == words => {
                    let links = std::mem::take(&mut address);
                    if !links.is_empty() {
                        (0..LINKS).for_each(|_| _ = connect(out, &links));
                    }
                    if word == b"o" && other.over == LINKS {
                        return true;
                    }
                    out.send(words, b"?");
                }
                Fact::Opened(link, ..) => {
                    // Says which link it is.
                    out.send(*link, &link.0.to_be_bytes());
                    other.told(fact);
                }
                fact => other.told(fact),
            }
            other.act(out);
            false
        });
        [accepts, connects]
    };
    let (runs, mut pairs) = (W::SEEDS * 15, 0);
    seeds(world, runs, case, |facts| {
        let mut connected = stories(&facts[1]);
        for story in links(&facts[0]).iter().skip(1) {
            let Some(name) = story.received.first_chunk::<8>() else { continue };
            ends(&connected.remove(&LinkId(u64::from_be_bytes(*name))).unwrap(), story);
            pairs += 1;
        }
    });
    assert!(pairs > runs * LINKS as u64 / 2, "some were over before the first byte, not most: {pairs} in {runs}");
}
