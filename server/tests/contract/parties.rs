//! Two parties of a case: one accepts, one connects, and both see what is still to come before they end.

use quorate_core::event::{Action, Halt, Outbox, Port};
use quorate_core::ids::LinkId;

use crate::machines::{Fact, Rule};
use crate::properties::{Story, stories};
use crate::worlds::{Facts, World, rule};

/// Bytes in which every position can be told.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 251 + i) as u8).collect()
}

/// A machine that accepts; `f` is told about links of the quorum port. It ends when the other one says so.
pub(crate) fn listener(mut f: impl FnMut(&Fact, &mut Outbox) + Send + 'static) -> Rule {
    let mut fence = None;
    rule(move |fact, out| match fact {
        Fact::Started(_) => {
            // Repeating it is harmless.
            for port in [Port::Quorum, Port::Election, Port::Quorum] {
                out.push(Action::Listen(port));
            }
            f(fact, out);
        }
        Fact::Opened(link, Port::Election, _) => {
            fence = Some(*link);
            out.send(*link, b"?");
        }
        Fact::Bytes(link, _) if fence == Some(*link) => out.push(Action::Halt(Halt::Shutdown)),
        fact if fence.is_none() || fact.link() != fence => f(fact, out),
        _ => {}
    })
}

/// A machine that connects. When `f` says that all is done, a last link to the other port and back lets both ends see what is
/// still to come, and both end.
pub(crate) fn dialer(mut f: impl FnMut(&Fact, &mut Outbox) -> bool + Send + 'static) -> Rule {
    let mut fence: Option<LinkId> = None;
    let mut election = None;
    rule(move |fact, out| {
        if let Fact::Started(addresses) = fact {
            election = Some(addresses.election.as_str().into());
        }
        match fact {
            Fact::Bytes(link, _) if fence == Some(*link) => {
                out.send(*link, b"!");
                out.push(Action::Halt(Halt::Shutdown));
            }
            fact if fence.is_some() && fact.link() == fence => {}
            fact => {
                if f(fact, out) && fence.is_none() {
                    fence = election.as_ref().map(|address| out.connect(Port::Election, address));
                }
            }
        }
    })
}

/// Connects to the quorum port.
pub(crate) fn connect(out: &mut Outbox, address: &str) -> LinkId {
    out.connect(Port::Quorum, &address.into())
}

/// Runs a case under each seed; what holds for every case is checked here.
pub(crate) fn each<W: World>(world: &mut W, case: impl FnMut(u64) -> [Rule; 2], judge: impl FnMut(Facts)) {
    seeds(world, W::SEEDS, case, judge);
}

pub(crate) fn seeds<W: World>(
    world: &mut W,
    count: u64,
    mut case: impl FnMut(u64) -> [Rule; 2],
    mut judge: impl FnMut(Facts),
) {
    for seed in 0..count {
        let facts = world.run(seed, case(seed).into());
        for all in &facts {
            stories(all);
        }
        judge(facts);
    }
}

/// The links of a machine, in the order in which they came about, the fence excepted.
pub(crate) fn links(facts: &[Fact]) -> Vec<Story> {
    let mut known = stories(facts);
    let mut order = Vec::new();
    let fence = facts.iter().rev().find_map(|f| matches!(f, Fact::Opened(_, Port::Election, _)).then(|| f.link()));
    for link in facts.iter().filter_map(Fact::link) {
        if let Some(story) = known.remove(&link).filter(|_| Some(Some(link)) != fence) {
            order.push(story);
        }
    }
    order
}

/// Sends in pieces, shared and not.
pub(crate) fn send_mixed(out: &mut Outbox, link: LinkId, all: &[u8]) {
    for (i, piece) in all.chunks(30_000).enumerate() {
        match i % 3 {
            0 => out.send_shared(link, piece.to_vec().into()),
            1 => out.send(link, piece),
            _ => piece.chunks(100).for_each(|p| out.send_shared(link, p.to_vec().into())),
        }
    }
}

/// Two links: the first for words of one byte between the machines, the second is the one that the case is about.
pub(crate) fn two_links(
    mut accepting: impl FnMut(&Pair, &Fact, &mut Outbox) + Send + 'static,
    mut connecting: impl FnMut(&Pair, &Fact, &mut Outbox) -> bool + Send + 'static,
) -> [Rule; 2] {
    let mut known: Vec<LinkId> = Vec::new();
    let accepts = listener(move |fact, out| {
        if let Fact::Opened(link, ..) = fact {
            known.push(*link);
        }
        if let [words, rest @ ..] = &known[..] {
            accepting(&Pair { words: *words, about: rest.first().copied() }, fact, out);
        }
    });
    let (mut address, mut pair) = (String::new(), Pair::default());
    let connects = dialer(move |fact, out| {
        match fact {
            Fact::Started(addresses) => {
                address = addresses.quorum.clone();
                pair.words = connect(out, &address);
            }
            // The words' link was accepted first when the other one is asked for after an answer on it.
            Fact::Opened(link, ..) if *link == pair.words => out.send(*link, b"h"),
            Fact::Bytes(link, _) if *link == pair.words && pair.about.is_none() => {
                pair.about = Some(connect(out, &address));
                return false;
            }
            _ => {}
        }
        pair.about.is_some() && connecting(&pair, fact, out)
    });
    [accepts, connects]
}

/// See [`two_links`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Pair {
    pub(crate) words: LinkId,
    pub(crate) about: Option<LinkId>,
}

impl Pair {
    pub(crate) fn is_about(&self, fact: &Fact) -> bool {
        self.about.is_some() && fact.link() == self.about
    }
    /// The word that came.
    pub(crate) fn word<'a>(&self, fact: &'a Fact) -> Option<&'a [u8]> {
        match fact {
            Fact::Bytes(link, bytes) if *link == self.words => Some(bytes),
            _ => None,
        }
    }
}
