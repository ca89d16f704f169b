//! Links: how they come about, carry bytes, wait, and end.

use bytes::Bytes;
use quorate_core::error::CloseReason;
use quorate_core::event::{Action, Halt, Outbox, Port};
use quorate_core::ids::LinkId;

use crate::both;
use crate::machines::Fact;
use crate::parties::{Pair, connect, dialer, each, links, listener, pattern, send_mixed, two_links};
use crate::properties::ends;
use crate::worlds::{Real, Simulated, World, rule};

both!(Simulated, Real:
    a_link_is_opened_at_both_ends,
    what_cannot_be_made_is_closed,
    a_link_that_is_given_up_at_once_says_nothing,
    nothing_leaves_before_the_link_is_open,
    bytes_arrive_whole_and_what_drains_adds_up,
    a_close_comes_after_what_was_sent,
    a_close_of_the_accepting_end_too,
    the_last_words_leave_before_the_end,
    a_close_while_the_other_end_sends,
    an_answer_is_not_lost_to_what_comes_behind_it,
    both_ends_close_at_once,
    a_paused_link_is_not_read,
    the_end_of_a_paused_link_waits_with_its_bytes,
    who_does_not_read_slows_whoever_sends,
    names_are_used_once,
    unlisten_keeps_what_is_open,
);

fn a_link_is_opened_at_both_ends<W: World>(world: &mut W) {
    let case = |_| {
        [
            listener(|_, _| {}),
            dialer(|fact, out| {
                if let Fact::Started(addresses) = fact {
                    connect(out, &addresses.quorum);
                }
                matches!(fact, Fact::Opened(..))
            }),
        ]
    };
    each(world, case, |facts| {
        let Fact::Started(addresses) = &facts[1][0] else { panic!("{:?}", facts[1]) };
        let remote = facts[1].iter().find_map(|f| match f {
            Fact::Opened(_, Port::Quorum, remote) => Some(remote.port().to_string()),
            _ => None,
        });
        assert!(
            addresses.quorum.ends_with(&format!(":{}", remote.unwrap())),
            "the other end is the one that was meant"
        );
        assert!(facts[0].iter().any(|f| matches!(f, Fact::Opened(_, Port::Quorum, _))));
    });
}

fn what_cannot_be_made_is_closed<W: World>(world: &mut W) {
    let case = |_| {
        let mut closed = 0;
        let accepts = listener(|_, _| {});
        let connects = dialer(move |fact, out| {
            if let Fact::Started(addresses) = fact {
                addresses.nowhere.iter().for_each(|a| _ = connect(out, a));
            }
            closed += usize::from(matches!(fact, Fact::Closed(_)));
            closed == 3
        });
        [accepts, connects]
    };
    each(world, case, |facts| {
        assert!(links(&facts[1]).iter().all(|l| !l.opened && l.told_closed));
        assert!(links(&facts[0]).is_empty());
    });
}

fn a_link_that_is_given_up_at_once_says_nothing<W: World>(world: &mut W) {
    let case = |_| {
        let mut second = None;
        let connects = dialer(move |fact, out| {
            if let Fact::Started(addresses) = fact {
                let first = connect(out, &addresses.quorum);
                out.close(first, CloseReason::Done);
                second = Some(connect(out, &addresses.quorum));
            }
            matches!(fact, Fact::Opened(link, ..) if Some(*link) == second)
        });
        [listener(|_, _| {}), connects]
    };
    each(world, case, |facts| {
        let first = &links(&facts[1])[0];
        assert!(first.closed && !first.opened && !first.told_closed);
    });
}

fn nothing_leaves_before_the_link_is_open<W: World>(world: &mut W) {
    let case = |_| {
        let accepts = listener(|fact, out| {
            if let Fact::Bytes(link, bytes) = fact {
                out.send(*link, bytes);
            }
        });
        let connects = dialer(|fact, out| {
            match fact {
                Fact::Started(addresses) => {
                    let link = connect(out, &addresses.quorum);
                    out.send(link, b"early");
                }
                Fact::Opened(link, ..) => out.send(*link, b"x"),
                _ => {}
            }
            matches!(fact, Fact::Bytes(..))
        });
        [accepts, connects]
    };
    each(world, case, |facts| assert_eq!(links(&facts[0])[0].received, b"x"));
}

const MUCH: usize = 3 << 20;

fn bytes_arrive_whole_and_what_drains_adds_up<W: World>(world: &mut W) {
    let case = |_| {
        // Both send much at once; when everything of it has left and as much has come, they say so.
        let side = || {
            let (mut received, mut drained, mut done) = (0, 0, false);
            move |fact: &Fact, out: &mut Outbox| {
                match fact {
                    Fact::Opened(link, ..) => send_mixed(out, *link, &pattern(MUCH)),
                    Fact::Bytes(_, bytes) => received += bytes.len(),
                    Fact::Drained(_, n) => drained += n,
                    _ => {}
                }
                if !done && received >= MUCH && drained == MUCH {
                    done = true;
                    out.send(fact.link().unwrap(), b".");
                }
                done && received > MUCH
            }
        };
        let (mut accepting, mut connecting) = (side(), side());
        let connects = dialer(move |fact, out| {
            if let Fact::Started(addresses) = fact {
                connect(out, &addresses.quorum);
            }
            connecting(fact, out)
        });
        [listener(move |fact, out| _ = accepting(fact, out)), connects]
    };
    each(world, case, |facts| {
        let (one, other) = (links(&facts[0]).remove(0), links(&facts[1]).remove(0));
        for (from, to) in [(&one, &other), (&other, &one)] {
            assert!(to.received.len() >= MUCH && from.drained >= MUCH);
            ends(from, to);
        }
    });
}

fn a_close_comes_after_what_was_sent<W: World>(world: &mut W) {
    let case = |_| {
        two_links(
            |pair, fact, out| match fact {
                Fact::Closed(_) if pair.is_about(fact) => out.send(pair.words, b"c"),
                fact if pair.word(fact).is_some() => out.send(pair.words, b"h"),
                _ => {}
            },
            |pair, fact, out| {
                if let Fact::Opened(link, ..) = fact
                    && pair.is_about(fact)
                {
                    send_mixed(out, *link, &pattern(MUCH));
                    out.close(*link, CloseReason::Done);
                    // The core has forgotten it.
                    out.send(*link, b"too late");
                }
                pair.word(fact).is_some()
            },
        )
    };
    each(world, case, |facts| {
        let (to, from) = (&links(&facts[0])[1], &links(&facts[1])[1]);
        assert!(from.closed && to.told_closed && to.received == pattern(MUCH));
        ends(from, to);
    });
}

fn a_close_of_the_accepting_end_too<W: World>(world: &mut W) {
    let case = |_| {
        let accepts = listener(|fact, out| {
            if let Fact::Opened(link, ..) = fact {
                send_mixed(out, *link, &pattern(MUCH));
                out.close(*link, CloseReason::Done);
            }
        });
        let connects = dialer(|fact, out| {
            if let Fact::Started(addresses) = fact {
                connect(out, &addresses.quorum);
            }
            matches!(fact, Fact::Closed(_))
        });
        [accepts, connects]
    };
    each(world, case, |facts| {
        let to = &links(&facts[1])[0];
        assert!(to.told_closed && to.received == pattern(MUCH));
    });
}

fn the_last_words_leave_before_the_end<W: World>(world: &mut W) {
    let case = |_| {
        let halt = |out: &mut Outbox| out.push(Action::Halt(Halt::Shutdown));
        let accepts = rule(move |fact, out| match fact {
            Fact::Started(_) => [Port::Quorum, Port::Election].into_iter().for_each(|p| out.push(Action::Listen(p))),
            Fact::Opened(link, ..) => {
                out.send(*link, &pattern(100_000));
                halt(out);
            }
            _ => {}
        });
        let connects = rule(move |fact, out| match fact {
            Fact::Started(addresses) => _ = connect(out, &addresses.quorum),
            Fact::Closed(_) => halt(out),
            _ => {}
        });
        [accepts, connects]
    };
    each(world, case, |facts| assert!(links(&facts[1])[0].received == pattern(100_000)));
}

fn a_close_while_the_other_end_sends<W: World>(world: &mut W) {
    let case = |_| {
        let accepts = listener(|fact, out| {
            if let Fact::Bytes(link, _) = fact {
                out.close(*link, CloseReason::TooSlow);
            }
        });
        let connects = dialer(|fact, out| {
            match fact {
                Fact::Started(addresses) => _ = connect(out, &addresses.quorum),
                Fact::Opened(link, ..) => (0..8).for_each(|_| send_mixed(out, *link, &pattern(MUCH))),
                Fact::Closed(link) => {
                    // A core that does not know yet: harmless.
                    out.send(*link, b"too late");
                    out.push(Action::Resume(*link));
                    out.close(*link, CloseReason::Done);
                }
                _ => {}
            }
            matches!(fact, Fact::Closed(_))
        });
        [accepts, connects]
    };
    each(world, case, |facts| {
        assert!(links(&facts[0])[0].closed && links(&facts[1])[0].told_closed);
        ends(&links(&facts[0])[0], &links(&facts[1])[0]);
    });
}

fn an_answer_is_not_lost_to_what_comes_behind_it<W: World>(world: &mut W) {
    let case = |_| {
        let accepts = listener(|fact, out| {
            if let Fact::Bytes(link, _) = fact {
                out.send(*link, &pattern(MUCH));
                out.close(*link, CloseReason::Done);
            }
        });
        let connects = dialer(|fact, out| {
            match fact {
                Fact::Started(addresses) => _ = connect(out, &addresses.quorum),
                Fact::Opened(link, ..) => out.send(*link, b"x"),
                // Unread bytes at a close would reset the connection and take the answer with them.
                Fact::Bytes(link, _) => out.send(*link, &[7; 5000]),
                _ => {}
            }
            matches!(fact, Fact::Closed(_))
        });
        [accepts, connects]
    };
    each(world, case, |facts| assert!(links(&facts[1])[0].received == pattern(MUCH)));
}

fn both_ends_close_at_once<W: World>(world: &mut W) {
    const LINKS: usize = 20;
    let case = |_| {
        let mut opened = 0;
        let connects = dialer(move |fact, out| {
            match fact {
                Fact::Started(addresses) => (0..LINKS).for_each(|_| _ = connect(out, &addresses.quorum)),
                Fact::Opened(link, ..) => {
                    out.close(*link, CloseReason::Done);
                    opened += 1;
                }
                _ => {}
            }
            opened == LINKS
        });
        let accepts = listener(|fact, out| {
            if let Fact::Opened(link, ..) = fact {
                out.close(*link, CloseReason::Done);
            }
        });
        [accepts, connects]
    };
    each(world, case, |facts| {
        for all in &facts {
            assert!(links(all).iter().all(|l| l.opened && l.closed && !l.told_closed));
        }
    });
}

/// The accepting end reads the second link when it is told to, and says when it has read `expected` bytes or its end.
fn reader(expected: usize) -> impl FnMut(&Pair, &Fact, &mut Outbox) + Send {
    let mut received = 0;
    move |pair, fact, out| match fact {
        Fact::Opened(link, ..) if pair.is_about(fact) => out.push(Action::Pause(*link)),
        Fact::Bytes(_, bytes) if pair.is_about(fact) => {
            received += bytes.len();
            if received == expected {
                out.send(pair.words, b"d");
            }
        }
        Fact::Closed(_) if pair.is_about(fact) => out.send(pair.words, b"c"),
        fact => match (pair.word(fact), pair.about) {
            (Some(b"r"), Some(link)) => out.push(Action::Resume(link)),
            (Some(_), _) => out.send(pair.words, b"w"),
            _ => {}
        },
    }
}

fn a_paused_link_is_not_read<W: World>(world: &mut W) {
    let case = |_| {
        two_links(reader(1000), |pair, fact, out| {
            match fact {
                Fact::Opened(link, ..) if pair.is_about(fact) => out.send(*link, &pattern(1000)),
                Fact::Drained(..) if pair.is_about(fact) => out.send(pair.words, b"t"),
                _ => {}
            }
            if pair.word(fact) == Some(b"w") {
                out.send(pair.words, b"r");
            }
            pair.word(fact) == Some(b"d")
        })
    };
    each(world, case, |facts| {
        let resumed = facts[0].iter().position(|f| matches!(f, Fact::Resume(_))).unwrap();
        let first = facts[0].iter().position(|f| matches!(f, Fact::Bytes(_, b) if b.len() > 100)).unwrap();
        assert!(resumed < first);
        assert!(links(&facts[0])[1].received == pattern(1000));
    });
}

fn the_end_of_a_paused_link_waits_with_its_bytes<W: World>(world: &mut W) {
    let case = |_| {
        two_links(reader(usize::MAX), |pair, fact, out| {
            if let Fact::Opened(link, ..) = fact
                && pair.is_about(fact)
            {
                out.send(*link, &pattern(1000));
                out.close(*link, CloseReason::Done);
                out.send(pair.words, b"t");
            }
            if pair.word(fact) == Some(b"w") {
                out.send(pair.words, b"r");
            }
            pair.word(fact) == Some(b"c")
        })
    };
    each(world, case, |facts| {
        let to = &links(&facts[0])[1];
        assert!(to.told_closed && to.received == pattern(1000));
    });
}

fn who_does_not_read_slows_whoever_sends<W: World>(world: &mut W) {
    /// More than any buffers between two sockets.
    const FLOOD: usize = 96 << 20;
    let flood = Bytes::from(pattern(FLOOD));
    let case = |_| {
        let flood = flood.clone();
        let (mut drained, mut asked, mut read) = (0, false, false);
        two_links(reader(FLOOD), move |pair, fact, out| {
            match fact {
                Fact::Opened(link, ..) if pair.is_about(fact) => out.send_shared(*link, flood.clone()),
                Fact::Drained(_, n) if pair.is_about(fact) => {
                    drained += n;
                    if !std::mem::replace(&mut asked, true) {
                        out.send(pair.words, b"t");
                    }
                }
                _ => {}
            }
            match pair.word(fact) {
                Some(b"w") => {
                    assert!(drained < FLOOD, "nobody reads, and all has left");
                    out.send(pair.words, b"r");
                }
                Some(word) => read = word == b"d",
                None => {}
            }
            read && drained == FLOOD
        })
    };
    for seed in 0..W::SEEDS.min(2) {
        let facts = world.run(seed, case(seed).into());
        assert!(links(&facts[0])[1].received == flood);
    }
}

fn names_are_used_once<W: World>(world: &mut W) {
    const LINKS: usize = 60;
    let case = |_| {
        let (mut address, mut opened) = (String::new(), 0);
        let connects = dialer(move |fact, out| {
            match fact {
                Fact::Started(addresses) => {
                    address = addresses.quorum.clone();
                    connect(out, &address);
                }
                Fact::Opened(link, ..) => {
                    opened += 1;
                    out.close(*link, CloseReason::Done);
                    connect(out, &address);
                }
                _ => {}
            }
            opened == LINKS
        });
        [listener(|_, _| {}), connects]
    };
    // A name that comes again fails in `stories`.
    each(world, case, |facts| assert!(links(&facts[0]).len() >= LINKS));
}

fn unlisten_keeps_what_is_open<W: World>(world: &mut W) {
    let case = |_| {
        let accepts = listener(|fact, out| {
            if let Fact::Bytes(link, _) = fact {
                out.push(Action::Unlisten(Port::Quorum));
                out.send(*link, b"done");
            }
        });
        let (mut address, mut first, mut refused) = (String::new(), LinkId::default(), false);
        let connects = dialer(move |fact, out| {
            match fact {
                Fact::Started(addresses) => {
                    address = addresses.quorum.clone();
                    first = connect(out, &address);
                }
                Fact::Opened(link, ..) if *link == first => out.send(first, b"x"),
                Fact::Bytes(..) if !refused => _ = connect(out, &address),
                Fact::Closed(link) if *link != first => {
                    refused = true;
                    out.send(first, b"y");
                }
                _ => {}
            }
            refused && matches!(fact, Fact::Bytes(..))
        });
        [accepts, connects]
    };
    each(world, case, |facts| {
        let both = links(&facts[1]);
        assert!(both[0].opened && !both[0].told_closed);
        assert!(!both[1].opened && both[1].told_closed);
    });
}
