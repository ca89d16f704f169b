//! Whose durable bytes may be spoiled, so that recovery can still be demanded (simulation-catalogue 1.3, "Fault budget").

use quorate_core::event::Role;
use quorate_core::ids::Zxid;

use crate::node::Node;
use crate::observe::{DiskFault, Obs};
use crate::quorum::Quorum;
use crate::rng::{Purpose, Stream};
use crate::spec::{Budget, RunSpec};
use crate::world::World;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Allowed {
    victims: Vec<usize>,
    /// Mode A: this one is spared, and must have what a victim has.
    keeper: Option<usize>,
}

impl Allowed {
    pub(super) fn new(spec: &RunSpec) -> Self {
        let mut voters: Vec<usize> = (0..spec.topology.voters as usize).collect();
        Stream::new(spec.seed, Purpose::Rot, 0).shuffle(&mut voters);
        let (mut victims, keeper): (Vec<usize>, _) = match spec.disk.budget {
            Budget::GoodQuorum => (Quorum::of(&spec.topology).can_miss(&voters), None),
            Budget::OneGoodCopy => {
                // Who weighs nothing never leads, whatever it has.
                let quorum = Quorum::of(&spec.topology);
                let leads = |n: &usize| quorum.place(*n).is_some_and(|(_, weight)| weight > 0);
                let keeper = voters.iter().rposition(leads).map(|at| voters.remove(at));
                (voters, keeper)
            }
            Budget::Unlimited => (voters, None),
        };
        victims.extend(spec.topology.voters as usize..spec.servers());
        Self { victims, keeper }
    }
}

impl World<'_> {
    /// A server whose durable bytes may be spoiled now.
    pub(super) fn spoilable(&self, stream: &mut Stream) -> Option<usize> {
        let node = stream.pick(&self.plans.allowed.victims)?;
        self.may_spoil(node).then_some(node)
    }

    pub(super) fn may_spoil(&self, node: usize) -> bool {
        let allowed = &self.plans.allowed;
        let kept = allowed.keeper.is_none_or(|k| {
            let keeper = &self.nodes[k];
            keeper.is_up() && keeper.durable >= self.nodes[node].durable
        });
        allowed.victims.contains(&node) && kept && self.others_are_whole(node)
    }

    /// Whether no other voter has lost everything and not got it back: two wiped ones are one too many.
    fn others_are_whole(&self, node: usize) -> bool {
        let voters = self.spec.topology.voters as usize;
        self.spec.disk.budget == Budget::Unlimited || (0..voters).all(|n| n == node || !self.nodes[n].wiped)
    }

    /// Whether a quorum of voters still has everything that this server has when its disk is empty.
    pub(super) fn may_wipe(&self, node: usize) -> bool {
        let quorum = Quorum::of(&self.spec.topology);
        let has = |n: usize| {
            let other = &self.nodes[n];
            n != node && !other.wiped && !other.rotten && other.durable >= self.nodes[node].durable
        };
        match self.spec.disk.budget {
            // Before the first transaction an epoch may be promised, and nothing shows who has heard of it.
            Budget::GoodQuorum => self.nodes[node].durable > Zxid::ZERO && quorum.decides(has),
            // Empty servers take each other for a new ensemble: they must stay fewer than can elect.
            Budget::OneGoodCopy => {
                let empty = |n: usize| {
                    let other = &self.nodes[n];
                    n == node || other.wiped || other.durable == Zxid::ZERO
                };
                quorum.decides(|n| !empty(n))
            }
            Budget::Unlimited => true,
        }
    }

    /// Whether every other voter is up, synchronised, and has what this one has: it can be missed wholly.
    pub(super) fn can_be_missed(&self, node: usize) -> bool {
        let voters = self.spec.topology.voters as usize;
        (0..voters).filter(|n| *n != node).all(|n| {
            let other = &self.nodes[n];
            let follows = other.server().is_some_and(|p| matches!(p.role(), Role::Following | Role::Leading));
            follows && !other.wiped && !other.rotten && other.durable >= self.nodes[node].durable
        })
    }

    /// Something durable of this server was spoiled, for good.
    pub(super) fn lasting(&mut self, n: usize) {
        self.nodes[n].rotten |= !self.nodes[n].wiped;
        self.watcher.tell(Obs::Disk { node: n, fault: DiskFault::Lasting, log: false });
        let voters = self.spec.topology.voters as usize;
        let voting = &self.nodes[..voters];
        // Who never had anything elects with one who has lost it all.
        let forgets = voting.iter().any(|node| node.wiped) && voting.iter().any(|node| node.durable > Zxid::ZERO);
        let spoiled = |node: &Node| node.rotten || node.wiped;
        let lacks = |node: &Node| spoiled(node) || (forgets && node.durable == Zxid::ZERO);
        let quorum = Quorum::of(&self.spec.topology);
        // Generated faults keep to the budget; those of a file, and what the minimiser leaves of a run, need not.
        let bearable = match self.spec.disk.budget {
            Budget::Unlimited => quorum.decides(|n| !lacks(&voting[n])),
            Budget::GoodQuorum => quorum.decides(|n| !spoiled(&voting[n])),
            Budget::OneGoodCopy => !voting.iter().all(spoiled),
        };
        if !bearable {
            self.outside("more disks are spoiled than a quorum can bear");
        }
    }

    /// From now on nothing but "never lie" can be demanded.
    pub(crate) fn outside(&mut self, why: &'static str) {
        self.outside = true;
        self.watcher.tell(Obs::Outside { why });
    }
}
