//! What holds for the facts of every case, whatever the machines did.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quorate_core::ids::LinkId;

use crate::machines::Fact;

/// What one machine knows of one link.
#[derive(Debug, Default)]
pub(crate) struct Story {
    asked: bool,
    pub(crate) opened: bool,
    paused: bool,
    /// It was told that the link is gone.
    pub(crate) told_closed: bool,
    /// It closed the link itself.
    pub(crate) closed: bool,
    /// Queued while the link was open.
    pub(crate) sent: Vec<u8>,
    pub(crate) received: Vec<u8>,
    pub(crate) drained: usize,
}

impl Story {
    fn is_over(&self) -> bool {
        self.told_closed || self.closed
    }
    fn is_open(&self) -> bool {
        self.opened && !self.is_over()
    }
}

/// Facts in one line each, without the bytes.
pub(crate) fn show(facts: &[Fact]) -> String {
    let mut text = String::new();
    for fact in facts {
        let _ = match fact {
            Fact::Bytes(link, bytes) => writeln!(text, "Bytes {} {}", link.0, bytes.len()),
            Fact::Send(link, bytes) => writeln!(text, "Send {} {}", link.0, bytes.len()),
            other => writeln!(text, "{other:?}"),
        };
    }
    text
}

/// Checks what one machine was told against what it did.
pub(crate) fn stories(facts: &[Fact]) -> BTreeMap<LinkId, Story> {
    let mut stories: BTreeMap<LinkId, Story> = BTreeMap::new();
    for (i, fact) in facts.iter().enumerate() {
        let Some(link) = fact.link() else { continue };
        let new = !stories.contains_key(&link);
        let story = stories.entry(link).or_default();
        let fail = |what: &str| panic!("{what}: fact {i} of\n{}", show(&facts[..=i]));
        match fact {
            Fact::Connect(_) => {
                if !new || link.is_accepted() {
                    fail("a link's name is used once");
                }
                story.asked = true;
            }
            Fact::Opened(..) => {
                if story.opened || story.is_over() || story.asked == link.is_accepted() || new != link.is_accepted() {
                    fail("a link opens once, and one that was accepted has a name of its own");
                }
                story.opened = true;
            }
            Fact::Bytes(_, bytes) => {
                if !story.is_open() || bytes.is_empty() {
                    fail("bytes come on an open link");
                }
                if story.paused {
                    fail("a paused link is not read");
                }
                story.received.extend_from_slice(bytes);
            }
            Fact::Drained(_, n) => {
                story.drained += n;
                if !story.is_open() || *n == 0 || story.drained > story.sent.len() {
                    fail("what drains was sent, on an open link");
                }
            }
            Fact::Closed(_) => {
                if story.is_over() || !(story.opened || story.asked) {
                    fail("a link is gone once");
                }
                story.told_closed = true;
            }
            Fact::Send(_, bytes) if story.is_open() => story.sent.extend_from_slice(bytes),
            Fact::Close(_) => story.closed |= !story.is_over(),
            Fact::Pause(_) => story.paused = true,
            Fact::Resume(_) => story.paused = false,
            _ => {}
        }
    }
    stories
}

/// Checks both ends of one link against each other.
pub(crate) fn ends(one: &Story, other: &Story) {
    for (from, to) in [(one, other), (other, one)] {
        let n = to.received.len();
        assert!(n <= from.sent.len() && to.received == from.sent[..n], "bytes arrive as they were sent: {n} of them");
        if from.closed && to.told_closed {
            assert_eq!(n, from.sent.len(), "a close comes after what was sent");
        }
        assert!(!(from.closed && to.opened && !to.is_over()), "a close is told");
    }
}
