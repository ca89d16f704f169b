//! Planted bugs (simulation-catalogue section 4): proof that the checks see what they are for.
//!
//! A safety-carrying decision reads `right_condition || mutants.has(Mutant::K01)`. Without the feature `mutants`
//! [`Mutants::has`] is the constant `false` and the branch vanishes. Which rows of the catalogue are here, which are not and why
//! is said in `sim/src/catalogue`.

macro_rules! planted {
    ($($(#[$doc:meta])* $id:ident,)*) => {
        /// The planted bugs that this design can express, by their ids in the catalogue.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mutant {
            $($(#[$doc])* $id,)*
        }

        impl Mutant {
            /// Every planted bug, in the catalogue's order.
            pub const ALL: &'static [(&'static str, Self)] = &[$((stringify!($id), Self::$id),)*];
        }
    };
}

planted! {
    /// DIFF by range test instead of membership test.
    B01,
    /// The current epoch is written before the history that it vouches for.
    B13,
    /// A request is accepted after its session's close was queued.
    B53,
    /// ACK before fsync.
    K01,
    /// Quorum is half of the voters, rounded down.
    K02,
    /// The leader counts its own vote before its own fsync.
    K03,
    /// ACKs are counted without looking who sent them: duplicates count.
    K04,
    /// An observer's ACKs and votes count.
    K05,
    /// ACKEPOCH leaves before the accepted epoch is durable.
    K06,
    /// A later zxid's quorum commits an earlier undecided one.
    K07,
    /// TRUNC to the leader's last zxid instead of the last common one.
    K08,
    /// The uncommitted tail of the log is dropped at restart.
    K09,
    /// The uncommitted tail is applied at restart before a leader confirms it.
    K10,
    /// The new epoch is the own accepted one plus 1 instead of the largest of a quorum.
    K11,
    /// An ACK of an old epoch counts for the same counter.
    K12,
    /// A learner decides session expiry by its own clock.
    K14,
    /// Touches are lost at a change of leader: sessions expire at once.
    K15,
    /// The session id base is a constant after every start.
    K16,
    /// What changed while a client was between two servers is not told to its watches.
    K17,
    /// Watch events are queued after the reply that shows the new value.
    K18,
    /// A client that has seen a higher zxid is accepted by a lagging server.
    K19,
    /// A leader that is cut off from its quorum goes on serving.
    K20,
    /// A checksum error in the middle of the log is taken for its end.
    K21,
    /// An fsync that failed is asked for again.
    K22,
    /// A snapshot gets its name before its content is durable.
    K23,
    /// A sequential suffix is made from the number of present children.
    K24,
    /// The first part of a multi takes effect before the others.
    K25,
    /// Transactions that only tell an error are not logged.
    K26,
    /// The order of messages comes from a map with random keys.
    K27,
    /// A follower never gives up on a silent leader.
    K28,
}

impl Mutant {
    /// The planted bug with this catalogue id.
    #[must_use]
    pub fn by_id(id: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == id).map(|(_, m)| *m)
    }
}

/// What is outside every seed, as the keys of a map that is seeded by its process: changes from call to call.
#[must_use]
pub fn coin() -> bool {
    #[cfg(feature = "mutants")]
    {
        static CALLS: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(1);
        let call = CALLS.fetch_add(0x9e37_79b9_7f4a_7c15, core::sync::atomic::Ordering::Relaxed);
        (call ^ (call >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 63 == 1
    }
    #[cfg(not(feature = "mutants"))]
    false
}

/// Which planted bug is switched on in one Peer: none in every shipped binary.
#[derive(Clone, Copy, Default, Debug)]
pub struct Mutants {
    #[cfg(feature = "mutants")]
    planted: Option<Mutant>,
}

impl Mutants {
    /// With one planted bug. Only with the feature `mutants`.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub const fn planted(mutant: Mutant) -> Self {
        Self { planted: Some(mutant) }
    }

    /// Whether this bug is planted here.
    #[inline]
    #[must_use]
    pub fn has(self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        {
            self.planted == Some(mutant)
        }
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }
}
