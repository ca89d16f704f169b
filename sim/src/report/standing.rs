//! Where a server stands, and the line of the trace that says so.

use quorate_core::ids::{Epoch, Zxid};

use super::fact::{Fact, Kind, Who, zxid_text};

/// The columns of a line of the trace.
pub const HEADER: &str =
    "#    ms.us who  role        acc/cur   logged  durable committed applied  what (zxids are epoch.counter)";

/// What a server has said of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// In one word.
    pub role: &'static str,
    /// acceptedEpoch.
    pub accepted: Epoch,
    /// currentEpoch.
    pub current: Epoch,
    /// Newest in the log, durable or not.
    pub logged: Zxid,
    /// Durable up to here.
    pub durable: Zxid,
    /// Known to be committed up to here.
    pub committed: Zxid,
    /// In the tree up to here.
    pub applied: Zxid,
}

impl Default for Standing {
    fn default() -> Self {
        let zxid = Zxid::ZERO;
        Self { role: "down", accepted: 0, current: 0, logged: zxid, durable: zxid, committed: zxid, applied: zxid }
    }
}

/// The words of roles, by the first number of [`Kind::Role`].
pub(super) const ROLES: [&str; 8] =
    ["recovering", "looking", "following", "leading?", "observing", "read-only", "standalone", "leading"];
/// The role of a leader that has its quorum.
const ESTABLISHED: usize = 7;

impl Standing {
    /// Goes on by one fact of this server.
    pub fn take(&mut self, fact: &Fact) {
        let [first, second, third, fourth] = fact.numbers;
        match fact.kind {
            Kind::Started => self.role = ROLES[0],
            Kind::Stopped => *self = Self { role: "down", committed: Zxid::ZERO, applied: Zxid::ZERO, ..*self },
            Kind::Recovered => {
                (self.logged, self.durable) = (Zxid(first), Zxid(first));
                (self.applied, self.committed) = (Zxid(second), Zxid(second));
                (self.accepted, self.current) = (third, fourth);
            }
            Kind::Role => self.role = ROLES.get(first as usize).copied().unwrap_or("?"),
            Kind::Established => {
                self.role = ROLES[ESTABLISHED];
                self.committed = self.committed.max(Zxid(second));
            }
            Kind::EpochAccepted => self.accepted = first,
            Kind::EpochCurrent => self.current = first,
            Kind::Logged => self.logged = Zxid(first),
            Kind::Durable => self.durable = Zxid(first),
            Kind::Decided => self.committed = self.committed.max(Zxid(first)),
            Kind::Received => self.committed = self.committed.max(Zxid(third)),
            Kind::Applied => {
                self.applied = Zxid(first);
                self.committed = self.committed.max(Zxid(first));
            }
            // Installed when ACK(NEWLEADER) says so; until then the log on disk is the old one.
            Kind::Replaced => (self.applied, self.committed) = (Zxid(first), Zxid(first)),
            Kind::NewLeaderAcked => (self.logged, self.durable) = (Zxid(second), Zxid(second)),
            Kind::Truncated => {
                self.logged = self.logged.min(Zxid(first));
                self.durable = self.durable.min(Zxid(first));
                self.committed = self.committed.min(Zxid(first));
            }
            _ => {}
        }
    }
}

/// A line of the trace.
#[must_use]
pub(super) fn line(fact: &Fact, standing: Option<&Standing>, what: &str) -> String {
    let who = match fact.who {
        _ if fact.kind == Kind::Violation => "!!".to_owned(),
        Who::Server(n) => format!("s{}", n + 1),
        Who::Client(n) => format!("c{}", n + 1),
        Who::World => "##".to_owned(),
    };
    let mut line = format!("{:>6}.{:03} {who:<4} ", fact.at / 1000, fact.at % 1000);
    line += &match standing {
        Some(s) => format!(
            "{:<10} {:>8} {:>8} {:>8} {:>9} {:>7}",
            s.role,
            format!("{}/{}", s.accepted, s.current),
            zxid_text(s.logged),
            zxid_text(s.durable),
            zxid_text(s.committed),
            zxid_text(s.applied),
        ),
        None => format!("{:<55}", ""),
    };
    line + "  " + what
}
