//! What may happen next, and how that is written down.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One thing that may happen next. Servers are numbered from 0; written, `s1` is the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Choice {
    /// The oldest thing under way on the connection between leader and learner arrives: bytes, or its end.
    Deliver {
        /// Sender.
        from: usize,
        /// Receiver.
        to: usize,
    },
    /// The fsync at the head of a server's disk queue is done, and what follows it up to the next one.
    Disk {
        /// Whose.
        node: usize,
        /// Snapshots, not the log.
        bulk: bool,
    },
    /// A client asks this established leader for a write.
    Write {
        /// Which.
        node: usize,
    },
    /// The power of a server goes.
    Crash {
        /// Whose.
        node: usize,
        /// What was written and not synced is on the disk all the same.
        keep: bool,
    },
    /// A server that is down starts.
    Restart {
        /// Which.
        node: usize,
    },
    /// All that is between a leader and a learner breaks; both notice.
    Cut {
        /// The lower number.
        a: usize,
        /// The higher one.
        b: usize,
    },
    /// Time goes on until something can arrive or be done, or every server has a role.
    Time,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver { from, to } => write!(f, "deliver s{} s{}", from + 1, to + 1),
            Self::Disk { node, bulk } => write!(f, "disk s{} {}", node + 1, if *bulk { "bulk" } else { "log" }),
            Self::Write { node } => write!(f, "write s{}", node + 1),
            Self::Crash { node, keep } => write!(f, "crash s{} {}", node + 1, if *keep { "keep" } else { "lose" }),
            Self::Restart { node } => write!(f, "restart s{}", node + 1),
            Self::Cut { a, b } => write!(f, "cut s{} s{}", a + 1, b + 1),
            Self::Time => f.write_str("time"),
        }
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for Choice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let server = |word: &str| {
            let number = word.strip_prefix('s').and_then(|n| n.parse::<usize>().ok());
            number.and_then(|n| n.checked_sub(1)).ok_or_else(|| format!("{word:?} is no server, as in s1"))
        };
        let words: Vec<&str> = text.split(' ').collect();
        match *words {
            ["deliver", from, to] => Ok(Self::Deliver { from: server(from)?, to: server(to)? }),
            ["disk", node, "log"] => Ok(Self::Disk { node: server(node)?, bulk: false }),
            ["disk", node, "bulk"] => Ok(Self::Disk { node: server(node)?, bulk: true }),
            ["write", node] => Ok(Self::Write { node: server(node)? }),
            ["crash", node, "lose"] => Ok(Self::Crash { node: server(node)?, keep: false }),
            ["crash", node, "keep"] => Ok(Self::Crash { node: server(node)?, keep: true }),
            ["restart", node] => Ok(Self::Restart { node: server(node)? }),
            ["cut", a, b] => Ok(Self::Cut { a: server(a)?, b: server(b)? }),
            ["time"] => Ok(Self::Time),
            _ => Err(format!(
                "{text:?} is no choice: deliver FROM TO, disk SERVER log|bulk, write SERVER, crash SERVER lose|keep, \
                 restart SERVER, cut A B, time"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_was_written() {
        let texts = ["deliver s3 s1", "disk s2 log", "disk s2 bulk", "write s3", "crash s1 lose", "crash s1 keep"];
        for text in texts.into_iter().chain(["restart s2", "cut s1 s3", "time"]) {
            assert_eq!(text.parse::<Choice>().expect(text).to_string(), text);
        }
        for bad in ["", "deliver s1", "deliver 1 2", "disk s0 log", "crash s1", "time s1", "restart  s2"] {
            assert!(bad.parse::<Choice>().is_err(), "{bad}");
        }
    }
}
