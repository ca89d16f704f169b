//! Identifiers that every layer speaks of.

use core::fmt;

/// A transaction id: epoch in the high 32 bits, counter in the low 32 bits.
///
/// Signed as on the wire. [`Zxid::NONE`] (-1) means "no usable history" in votes and in ACKEPOCH.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub i64);

impl Zxid {
    /// No history: an empty server beside servers with data, or a clean-history request.
    pub const NONE: Self = Self(-1);
    /// Before the first transaction.
    pub const ZERO: Self = Self(0);

    /// The zxid with this epoch and counter.
    #[must_use]
    pub const fn new(epoch: Epoch, counter: u32) -> Self {
        Self((epoch << 32) | counter as i64)
    }
    /// High 32 bits; -1 stays -1.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        self.0 >> 32
    }
    /// Low 32 bits.
    #[must_use]
    pub const fn counter(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
    /// The zxid after this one in the same epoch. The caller has checked that the counter does not wrap.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}
impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An epoch: the number of a leader's term, the only fencing token. 31 bits, as ACKEPOCH carries an int.
pub type Epoch = i64;

/// Milliseconds, a duration or an instant of the clock named beside it.
pub type Millis = i64;

/// Server id: the N of `server.N` and the content of `myid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Sid(pub i64);

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A client session's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub i64);

impl SessionId {
    /// Transactions that no client asked for (container reaping).
    pub const NONE: Self = Self(0);

    /// The low byte of the id of the server that gave it away (client-protocol 2.2).
    #[must_use]
    pub const fn server_byte(self) -> i64 {
        (self.0 as u64 >> 56) as i64
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// One connection, for its whole life and never again: the number is the generation.
///
/// The driver names accepted links from [`LinkId::ACCEPTED`] upward, the core names those that it opens below it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LinkId(pub u64);

impl LinkId {
    /// Lowest id of a link that the driver accepted.
    pub const ACCEPTED: u64 = 1 << 63;
    /// Whether the driver accepted this link (as opposed to the core having asked for it).
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        self.0 >= Self::ACCEPTED
    }
}

/// One disk operation in flight; never reused in the life of a Peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u64);

/// The time at which an input is handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Milliseconds of a clock that never goes back, from an arbitrary origin.
    pub mono_ms: Millis,
    /// Milliseconds since 1970. Read only where the leader stamps a txn, scans TTLs, or a session id base is chosen.
    pub wall_ms: Millis,
}
