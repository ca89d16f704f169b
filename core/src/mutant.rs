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
    /// A cut takes the last byte of what is to stay.
    B02,
    /// A new leader goes on proposing behind its initial history, in the old epoch.
    B03,
    /// After a cut the log goes on in the file, and at the place, where it was being written before.
    B04,
    /// A snapshot is taken of the tree with everything logged, decided or not.
    B05,
    /// An installed snapshot leaves the older log in its place.
    B06,
    /// The tail that was logged and not applied counts as applied when a term ends.
    B07,
    /// A snapshot that was received and not installed stays in memory when its term ends early.
    B08,
    /// A received snapshot is not synced before it is installed.
    B09,
    /// The own snapshot is labelled with the newest logged zxid instead of that of its tree.
    B10,
    /// NEWLEADER is acknowledged before the history is logged; that follows after UPTODATE.
    B11,
    /// NEWLEADER is acknowledged while the history is still on its way to the log.
    B12,
    /// The current epoch is written before the history that it vouches for.
    B13,
    /// The current epoch is written while the received snapshot is still on its way to the disk.
    B14,
    /// A COMMIT of what was proposed before NEWLEADER is an error after its ACK.
    B15,
    /// An ACK of a proposal leaves before that of NEWLEADER; the leader takes it for a breach of the protocol.
    B16,
    /// The next election begins while the log of the last term is still being written.
    B17,
    /// Transactions that are applied before clients are served miss the window.
    B18,
    /// The first piece of log that was read counts as all that is before the window.
    B19,
    /// The log from before an installed snapshot stays, and is read to learners without a look for gaps.
    B20,
    /// The read-only phase empties the window and leaves its floor where it was.
    B21,
    /// A learner from before the window gets what the window holds, without the base.
    B22,
    /// History that was received and not logged stays in memory when a synchronisation is interrupted.
    B23,
    /// UPTODATE is taken for the COMMIT of everything before it.
    B24,
    /// A cut leaves the snapshots above it.
    B25,
    /// A cut that fails counts as done.
    B26,
    /// The zxid in the header of a DIFF counts as decided before what it names has come.
    B27,
    /// A leader that found no quorum votes with the zxid at which its epoch would have begun.
    B28,
    /// The current epoch is written after UPTODATE instead of before the ACK of NEWLEADER.
    B29,
    /// What is decided before an observer's UPTODATE is not told to it, and an observer checks for no gap.
    B30,
    /// Epoch files get their names before their content is durable.
    B31,
    /// A promise is written into the file of the current epoch.
    B32,
    /// Ids are compared although the epochs differ: the order of votes is not total.
    B33,
    /// A server that joins late counts only answers of its own round.
    B34,
    /// An observer may be proposed and elected.
    B35,
    /// Whoever is elected and dies is waited for without end.
    B36,
    /// A leader that the voters have left waits for them without end.
    B37,
    /// An epoch goes on behind the end of its counter.
    B38,
    /// A write to the log that failed ends nothing: the server keeps its role.
    B39,
    /// A transaction answers the oldest write of its session, whatever its xid.
    B40,
    /// What was gathered during an fsync waits for the next append.
    B41,
    /// The purge counts snapshots that cannot be read, and logs without any are replayed over an empty tree.
    B42,
    /// A log file without a whole header stops recovery.
    B43,
    /// A check outside a multi becomes a transaction.
    B44,
    /// A znode whose data changes during a snapshot is written with the new data.
    B45,
    /// Behind the first part of a multi, a snapshot under way sees the changes of the others.
    B46,
    /// A session that begins or ends during a snapshot is written as it is by then.
    B47,
    /// What a closing session takes along is missing from a snapshot under way.
    B48,
    /// Numbers of ACLs are given away anew during a snapshot.
    B49,
    /// Recovery takes a transaction that says "no node" for damage.
    B50,
    /// The counter of children in flight is not seen: a sequential name is given twice.
    B51,
    /// Sessions in what a new leader applies at the start of its term are unknown to its tracker.
    B52,
    /// A request is accepted after its session's close was queued.
    B53,
    /// A closing session is woken by a sign of life.
    B54,
    /// A local session stays local after it has become global.
    B55,
    /// A session that has moved hears so on a connection that stays open.
    B57,
    /// Sessions expire by the wall clock.
    B58,
    /// The clock bits of a session id are extended by their sign over the server byte.
    B59,
    /// A read is answered with the zxid that the client knew before.
    B60,
    /// A connection has one kind of watch on a path: another takes its place.
    B61,
    /// Changes of children are told to recursive watchers.
    B62,
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
    /// A leader that may be deposed says that a session which it does not know is gone.
    Q01,
    /// An ended session writes where unknown ones may.
    Q02,
    /// A leader that may be deposed answers a sync.
    Q03,
    /// A hard quota is compared with what is used already, without what the request adds.
    Q10,
    /// A delete asks for rights on the znode itself instead of its parent.
    Q11,
    /// What is removed is removed for every connection that watches the path.
    Q12,
    /// getACL shows the secrets of digest identities to whoever may read.
    Q13,
    /// Watch events are told to connections that may not read the znode.
    Q14,
    /// The first answer about a session is taken for that to the last question.
    Q15,
    /// Heads are counted, whatever groups they are in and whatever they weigh.
    Q16,
    /// A record of trust that cannot be read is taken for trust.
    Q17,
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
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            #[cfg(feature = "mutants")]
            planted: None,
        }
    }

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
