//! Which operation a client does next.

use std::collections::VecDeque;
use std::fmt::Write;

use super::OPS;
use super::odd::odd;
use super::op::{Kind, Op};
use crate::rng::{Purpose, Stream};
use crate::spec::RunSpec;

/// How many own znodes a client remembers.
const REMEMBERED: usize = 16;

/// The generator of one client.
#[derive(Debug)]
pub(crate) struct Chooser {
    client: usize,
    weights: Vec<u64>,
    total: u64,
    paths: u64,
    data_max: u64,
    stream: Stream,
    count: u64,
    /// Own sequential and ephemeral znodes.
    own: VecDeque<String>,
    /// It could change what each server has for itself.
    is_super: bool,
    /// What must come next: parents of what is made later, a read behind its write.
    first: VecDeque<Op>,
}

impl Chooser {
    pub(crate) fn new(spec: &RunSpec, client: usize) -> Self {
        let g = &spec.workload.generate;
        let mix = if g.mix.is_empty() { crate::draw::mix(spec.seed) } else { g.mix.clone() };
        let weights: Vec<u64> = OPS.iter().map(|op| u64::from(*mix.get(*op).unwrap_or(&0))).collect();
        let mut first = VecDeque::new();
        if client == 0 {
            let uses = |op: &str| mix.get(op).is_some_and(|weight| *weight > 0);
            let parents = [
                ("/q", true),
                ("/e", true),
                ("/c", uses("container")),
                ("/t", uses("ttl")),
                ("/zookeeper/quota/q", uses("quota")),
                ("/zookeeper/quota/e", uses("quota")),
                ("/k", uses("kinds") || uses("multi-kinds")),
                ("/h", uses("hard-quota")),
                ("/zookeeper/quota/h", uses("hard-quota")),
            ];
            first.extend(parents.into_iter().filter(|(_, there)| *there).map(|(p, _)| Op::new(Kind::Create, p)));
        }
        Self {
            client,
            total: weights.iter().sum(),
            weights,
            paths: u64::from(g.paths.max(1)),
            data_max: u64::from(g.data_max),
            stream: Stream::new(spec.seed, Purpose::Workload, client as u64),
            count: 0,
            own: VecDeque::new(),
            is_super: super::is_super(spec, client),
            first,
        }
    }

    fn register(&mut self) -> String {
        format!("/r{}", self.stream.below(self.paths))
    }

    /// A znode was made under this name.
    pub(crate) fn created(&mut self, path: &str) {
        if !path.starts_with("/r") && path.len() > 3 {
            if self.own.len() == REMEMBERED {
                self.own.pop_front();
            }
            self.own.push_back(path.to_owned());
        }
    }

    /// Something new to store, told apart from all else in the run.
    fn data(&mut self) -> String {
        let length = self.stream.below(self.data_max + 1) as usize;
        let mut data = String::with_capacity(length.max(16));
        // Writing to a string cannot fail.
        let _ = write!(data, "c{}.{}", self.client + 1, self.count);
        data.extend(std::iter::repeat_n('.', length.saturating_sub(data.len())));
        data
    }

    fn version(&mut self) -> i32 {
        if self.stream.permille(150) { self.stream.below(6) as i32 } else { -1 }
    }

    fn any_path(&mut self) -> String {
        match self.stream.below(9) {
            8 => ["/a0", "/a1", "/t/x0", "/c/k0", "/c"][self.stream.index(5)].to_owned(),
            0 if !self.own.is_empty() => self.own[self.stream.index(self.own.len())].clone(),
            1 => ["/q", "/e", "/"][self.stream.index(3)].to_owned(),
            _ => self.register(),
        }
    }

    /// The next operation.
    pub(crate) fn next(&mut self) -> Op {
        self.count += 1;
        if let Some(op) = self.first.pop_front() {
            return op;
        }
        let mut left = self.stream.below(self.total.max(1));
        let mut chosen = 0;
        for (i, weight) in self.weights.iter().enumerate() {
            if left < *weight {
                chosen = i;
                break;
            }
            left -= weight;
        }
        self.make(OPS[chosen])
    }

    fn make(&mut self, name: &str) -> Op {
        let watch = if self.stream.permille(300) { "w" } else { "" };
        let mut op = match name {
            "get" => Op::new(Kind::Get, self.any_path()),
            "create" => Op::new(Kind::Create, self.register()),
            "create-seq" => Op::new(Kind::Create, "/q/n-"),
            "create-eph" => {
                let n = self.stream.below(6);
                Op::new(Kind::Create, format!("/e/x{n}"))
            }
            "delete" => match self.own.pop_front() {
                Some(own) if self.stream.permille(600) => Op::new(Kind::Delete, own),
                _ => Op::new(Kind::Delete, self.register()),
            },
            "multi" => self.multi(),
            "multi-read" => {
                let paths = format!("{},{}", self.any_path(), self.any_path());
                Op { flags: "gl".into(), ..Op::new(Kind::MultiRead, paths) }
            }
            "exists" => Op::new(Kind::Exists, self.any_path()),
            "children" => Op::new(Kind::Children, ["/", "/q", "/e"][self.stream.index(3)]),
            "sync" => Op::new(Kind::Sync, self.register()),
            "watch" => Op::new(Kind::AddWatch, self.any_path()),
            "set-acl" => Op::new(Kind::SetAcl, self.register()),
            "acl" => return self.rights(),
            "container" => return self.container(),
            "ttl" => {
                let (n, ttl) = (self.stream.below(4), self.stream.between(200, 3000) as i32);
                let kind = [Kind::Create, Kind::Create, Kind::Set][self.stream.index(3)];
                let (flags, version) = if kind == Kind::Create { ("t", ttl) } else { ("", -1) };
                return Op { flags: flags.into(), version, data: self.data(), ..Op::new(kind, format!("/t/x{n}")) };
            }
            "quota" => return self.quota(),
            "lists" => return self.lists(),
            "watching" => return self.watching(),
            "login" => return self.login(),
            "kinds" => return self.kinds(),
            "multi-kinds" => return self.multi_kinds(),
            "hard-quota" => return self.hard_quota(),
            "odd" => {
                let data = self.data();
                return odd(&mut self.stream, self.is_super, data);
            }
            "nap" if self.stream.permille(250) => return Op::new(Kind::Nap, ""),
            "check" => Op::new(Kind::Check, self.register()),
            "move" => Op::new(Kind::Move, ""),
            "renew" => Op::new(Kind::Renew, ""),
            _ => Op::new(Kind::Set, self.register()),
        };
        match op.kind {
            Kind::Get | Kind::Exists | Kind::Children => op.flags = watch.into(),
            Kind::AddWatch => op.flags = if self.stream.permille(400) { "r" } else { "" }.into(),
            Kind::SetAcl => op.flags = if self.stream.permille(100) { "r" } else { "" }.into(),
            Kind::Set | Kind::Multi | Kind::Delete => op.version = self.version(),
            _ => {}
        }
        if matches!(op.kind, Kind::Set | Kind::Create | Kind::Multi) {
            op.data = self.data();
        }
        if op.kind == Kind::Set && self.stream.permille(150) {
            self.first.push_back(Op::new(Kind::Get, op.path.clone()));
        }
        match name {
            "create-seq" => op.flags = if self.stream.permille(300) { "es" } else { "s" }.into(),
            "create-eph" => op.flags = "e".into(),
            _ => {}
        }
        op
    }

    /// Something with znodes that not everybody may touch.
    fn rights(&mut self) -> Op {
        let path = format!("/a{}", self.stream.below(4));
        let below = format!("{path}/b");
        let flags = ["p", "o", "n", "", "r"][self.stream.index(5)];
        let flags = if self.stream.permille(300) { "" } else { flags };
        let op = match self.stream.below(9) {
            0 | 1 => Op { flags: flags.into(), data: self.data(), ..Op::new(Kind::Create, path) },
            2 => Op { flags: flags.into(), data: self.data(), ..Op::new(Kind::Create, below) },
            3 => Op { data: self.data(), ..Op::new(Kind::Set, path) },
            4 => Op { flags: flags.into(), ..Op::new(Kind::SetAcl, path) },
            5 => Op::new(Kind::GetAcl, path),
            6 => Op::new(Kind::Delete, if self.stream.permille(500) { below } else { path }),
            7 => Op::new(Kind::Children, path),
            _ => Op::new(Kind::Get, path),
        };
        Op { version: -1, ..op }
    }

    fn container(&mut self) -> Op {
        let path = format!("/c/k{}", self.stream.below(3));
        let child = format!("{path}/m{}", self.stream.below(2));
        match self.stream.below(6) {
            0 | 1 => Op { flags: "c".into(), ..Op::new(Kind::Create, path) },
            2 | 3 => Op { data: self.data(), ..Op::new(Kind::Create, child) },
            4 => Op::new(Kind::Delete, child),
            _ => Op { data: self.data(), ..Op::new(Kind::Set, path) },
        }
    }

    /// A quota begins or ends: limits and usage together.
    fn quota(&mut self) -> Op {
        let top = format!("/zookeeper/quota{}", ["/q", "/e"][self.stream.index(2)]);
        let flags = if self.stream.permille(700) { "cc" } else { "dd" };
        let paths = format!("{top}/zookeeper_limits,{top}/zookeeper_stats");
        Op { flags: flags.into(), data: "count=1000,bytes=100000".into(), ..Op::new(Kind::Multi, paths) }
    }

    /// Lists and numbers of znodes and identities.
    fn lists(&mut self) -> Op {
        let flags = if self.stream.permille(300) { "w" } else { "" };
        match self.stream.below(8) {
            0..=2 => Op { flags: flags.into(), ..Op::new(Kind::List, ["/", "/q", "/e", ""][self.stream.index(4)]) },
            3 => Op::new(Kind::Count, ["/", "", "/q", "/e", "/r1", "/c"][self.stream.index(6)]),
            4 => Op::new(Kind::Ephemerals, ["", "/", "/e", "/e/x1", "/q", " "][self.stream.index(6)]),
            5 => Op::new(Kind::WhoAmI, ""),
            6 => Op::new(Kind::GetAcl, self.any_path()),
            _ => Op { flags: flags.into(), ..Op::new(Kind::Children, self.any_path()) },
        }
    }

    /// Looks for watches, takes them back, tells of them.
    fn watching(&mut self) -> Op {
        // Several connections watch the same few, so that what one takes back the others must keep.
        let path = match self.stream.below(5) {
            n @ 0..=2 => ["/r0", "/r1", "/q"][n as usize].to_owned(),
            _ => self.any_path(),
        };
        let kind = self.stream.between(1, 5) as i32;
        let version = if self.stream.permille(60) { [0, 6, -1][self.stream.index(3)] } else { kind };
        match self.stream.below(9) {
            0 | 1 => Op { version, ..Op::new(Kind::CheckWatches, path) },
            2..=4 => Op { version, ..Op::new(Kind::RemoveWatches, path) },
            5 => Op { flags: "w".into(), ..Op::new(Kind::Get, path) },
            6 => Op { flags: "w".into(), ..Op::new(Kind::List, path) },
            n => Op { flags: if n == 7 { "r" } else { "" }.into(), ..Op::new(Kind::AddWatch, path) },
        }
    }

    /// Proves one more identity, or tries to.
    fn login(&mut self) -> Op {
        if self.stream.permille(400) {
            return Op::new(if self.stream.permille(500) { Kind::WhoAmI } else { Kind::GetAcl }, "/a0");
        }
        let said = ["ann:a", "bob:b", "guest", "", "eve:e:x"][self.stream.index(5)];
        let (scheme, flags) = match self.stream.below(16) {
            0 => ("world", ""),
            1 => ("nobody", ""),
            2 => ("digest", "0"),
            3 => ("x509", ""),
            4 | 5 => ("ip", ""),
            _ => ("digest", ""),
        };
        Op { flags: flags.into(), data: said.into(), ..Op::new(Kind::Auth, scheme) }
    }

    /// A znode of any kind, by any opcode and flag.
    fn kinds(&mut self) -> Op {
        let path = format!("/k/{}", self.stream.below(8));
        match self.stream.below(10) {
            0 => Op::new(Kind::Delete, path),
            1 => Op { flags: "0".into(), ..Op::new(Kind::Set, path) },
            2 => Op { flags: "w".into(), ..Op::new(Kind::Exists, path) },
            3 => {
                let flags = ["x", "k", "T", "z", "tZ", "tsZ", "2x"][self.stream.index(7)];
                let version = [0, -1, -5, 100][self.stream.index(4)];
                Op { flags: flags.into(), version, ..Op::new(Kind::Create, path) }
            }
            4 => {
                let flags = ["i", "j", "D", "2U", "B", "A", "p", "2p"][self.stream.index(8)];
                Op { flags: flags.into(), data: self.data(), ..Op::new(Kind::Create, path) }
            }
            _ => {
                let flags = ["2", "2e", "2s", "2es", "c", "cs", "ce", "ces", "t", "ts", "20"][self.stream.index(11)];
                let below = self.stream.permille(200);
                let path = if below { format!("{path}/x") } else { path };
                let version = self.stream.between(200, 3000) as i32;
                Op { flags: flags.into(), version, data: self.data(), ..Op::new(Kind::Create, path) }
            }
        }
    }

    /// A multi with parts of every kind.
    fn multi_kinds(&mut self) -> Op {
        let parts = self.stream.below(6);
        let (mut flags, mut paths) = (String::new(), Vec::new());
        for _ in 0..parts {
            // Where one of them fails all do, so most are such as succeed.
            let flag = if self.stream.permille(150) {
                ['k', 'v', 'y', 'x', 'd', 's'][self.stream.index(6)]
            } else {
                ['c', 'C', 'K', 'T', 'e', 'q', 'E', 'f', 'F', 'q', 'd', 's'][self.stream.index(12)]
            };
            flags.push(flag);
            let n = self.stream.below(40);
            // Twice on the same znode now and then.
            let again = paths.last().filter(|_| self.stream.permille(300)).cloned();
            paths.push(again.unwrap_or_else(|| format!("/k/m{n}")));
        }
        let version = self.version();
        Op { flags, version, data: self.data(), ..Op::new(Kind::Multi, paths.join(",")) }
    }

    /// A subtree whose quota is soon used up.
    fn hard_quota(&mut self) -> Op {
        let top = "/zookeeper/quota/h";
        let path = format!("/h/x{}", self.stream.below(12));
        match self.stream.below(12) {
            0 => {
                let both = format!("{top}/zookeeper_limits,{top}/zookeeper_stats");
                let flags = ["cc", "cc", "cc", "dd", "ss"][self.stream.index(5)];
                let (flags, paths) =
                    if flags == "ss" { ("s", format!("{top}/zookeeper_limits")) } else { (flags, both) };
                let limits = [
                    "count=2,bytes=50=;byteHardLimit=400;countHardLimit=6",
                    "count=-1,bytes=-1=;countHardLimit=4",
                    "count=-1,bytes=-1=;byteHardLimit=150",
                    "count=3,bytes=100",
                    "nonsense",
                ][self.stream.index(5)];
                Op { flags: flags.into(), data: limits.into(), ..Op::new(Kind::Multi, paths) }
            }
            1 => Op::new(Kind::Get, format!("{top}/zookeeper_stats")),
            2 => Op::new(Kind::Delete, path),
            3..=5 => Op { data: self.data(), ..Op::new(Kind::Set, path) },
            6 => Op { flags: "cs".into(), data: self.data(), ..Op::new(Kind::Multi, format!("{path},{path}")) },
            7 => Op { flags: "s2".into(), data: self.data(), ..Op::new(Kind::Create, "/h/x") },
            _ => Op { data: self.data(), ..Op::new(Kind::Create, path) },
        }
    }

    fn multi(&mut self) -> Op {
        let parts = self.stream.between(1, 4);
        let (mut flags, mut paths) = (String::new(), Vec::new());
        for _ in 0..parts {
            flags.push(['s', 's', 'c', 'd', 'k'][self.stream.index(5)]);
            paths.push(self.register());
        }
        Op { flags, ..Op::new(Kind::Multi, paths.join(",")) }
    }
}
