//! Whose durable bytes may be spoiled, so that recovery can still be demanded (simulation-catalogue 1.3, "Fault budget").

use crate::observe::{DiskFault, Obs};
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
            Budget::GoodQuorum => (voters.drain(..(voters.len().saturating_sub(1)) / 2).collect(), None),
            Budget::OneGoodCopy => {
                let keeper = voters.pop();
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
        allowed.victims.contains(&node) && kept
    }

    /// Something durable of this server was spoiled, for good.
    pub(super) fn lasting(&mut self, n: usize) {
        self.nodes[n].rotten = true;
        self.watcher.tell(Obs::Disk { node: n, fault: DiskFault::Lasting });
        let voters = self.spec.topology.voters as usize;
        let spoiled = self.nodes[..voters].iter().filter(|node| node.rotten).count();
        if self.spec.disk.budget == Budget::Unlimited && spoiled > voters.saturating_sub(1) / 2 {
            self.outside("more disks are spoiled than a quorum can bear");
        }
    }

    /// From now on nothing but "never lie" can be demanded.
    pub(crate) fn outside(&mut self, why: &'static str) {
        if !self.outside {
            self.outside = true;
            self.watcher.line(format_args!("##"), format_args!("outside the guarantee: {why}"));
            self.watcher.tell(Obs::Outside { why });
        }
    }
}
