//! What well-behaved clients do not ask for: odd arguments, impossible paths, bodies that do not decode, opcodes that do not exist.

use super::op::{Kind, Op};
use crate::rng::Stream;

/// Paths that are odd, or of znodes with rules of their own.
const PATHS: &[&str] = &[
    "",
    "/",
    "r1",
    "r1/x",
    "/r1/",
    "//",
    "/a//b",
    "/.",
    "/r1/..",
    "/r1/.a",
    "/n\0l",
    "/r2/\u{1}",
    "/\u{fffd}",
    "/e/x1/b",
    "/no/such",
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/config",
];

/// Opcodes that end a connection.
const NO_OPCODES: &[i32] = &[0, -1, 10, 13, 20, -10, 23, 99, 108];

/// Opcodes whose bodies are read.
const OPCODES: &[i32] =
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 16, 17, 18, 19, 21, 22, 101, 103, 104, 105, 106, 100, 102];

/// Bodies that hardly any opcode can read: nothing, lengths that are negative or too long, a path and nothing behind it.
const BODIES: &[&str] = &[
    "",
    "00",
    "fffffffe",
    "7fffffff",
    "0000000a2f72",
    "000000022f72",
    "000000022f72fffffffe",
    "0000000000000000ffffffffffffffffffffffff",
];

/// One of them. `may_configure`: the client could change the configuration's znode, which each server has for itself.
pub(super) fn odd(s: &mut Stream, may_configure: bool, data: String) -> Op {
    let version = [-2, -2, i32::MAX, i32::MIN, 0, -1][s.index(6)];
    match s.below(20) {
        0 => {
            let data = ["", "000000022f72", "00001000"][s.index(3)].to_owned();
            Op { version: NO_OPCODES[s.index(NO_OPCODES.len())], data, ..Op::new(Kind::Raw, "") }
        }
        1..=4 => {
            // The last two end the connection.
            let of = if s.permille(100) { OPCODES.len() } else { OPCODES.len() - 2 };
            let data = BODIES[s.index(BODIES.len())].to_owned();
            Op { version: OPCODES[s.index(of)], data, ..Op::new(Kind::Raw, "") }
        }
        5 => {
            let kind = [
                Kind::Create,
                Kind::Delete,
                Kind::Set,
                Kind::Get,
                Kind::Exists,
                Kind::Children,
                Kind::List,
                Kind::Count,
                Kind::GetAcl,
                Kind::SetAcl,
                Kind::Sync,
                Kind::AddWatch,
                Kind::CheckWatches,
                Kind::Ephemerals,
            ][s.index(14)];
            Op { flags: "N".into(), version: 1, ..Op::new(kind, "") }
        }
        6 => Op { version: version.wrapping_sub(1), ..Op::new(Kind::Reconfig, "server.9=x:1:2") },
        7 => Op { flags: "m".into(), version, ..Op::new(Kind::AddWatch, "/r1") },
        8 => {
            let flags = ["cX", "sg", "x", "v", "y", "", "ckx", "dv"][s.index(8)];
            let paths = ["/r1,/r2,/r3", "/r1,/r4,r1"][s.index(2)];
            Op { flags: flags.into(), data, ..Op::new(Kind::Multi, paths) }
        }
        9 => {
            let flags = ["gs", "gxl", "glN", "lN", "", "s"][s.index(6)];
            Op { flags: flags.into(), data, ..Op::new(Kind::MultiRead, "/r1,/r2,/r3") }
        }
        10 | 11 => {
            let kind = [Kind::Set, Kind::Delete, Kind::SetAcl][s.index(3)];
            let path = format!("/r{}", s.below(6));
            Op { version, data, ..Op::new(kind, path) }
        }
        12 => Op { data, ..Op::new(Kind::Sasl, "") },
        14 if s.permille(400) => Op { flags: "w".into(), ..Op::new(Kind::Exists, "/n\0l") },
        14 => {
            // Below what is an ephemeral, if it is there.
            let path = format!("/e/x{}/b", s.below(6));
            Op { data, ..Op::new(Kind::Create, path) }
        }
        13 => {
            let flags = ["d", "e", "c", "dec", "p", "r", "decpr"][s.index(7)];
            let data = if s.permille(500) { "0" } else { "9223372036854775807" };
            let paths = flags.chars().map(|_| ["/r1", "/r2", "/q", "/no/such"][s.index(4)]).collect::<Vec<_>>();
            Op { flags: flags.into(), data: data.into(), ..Op::new(Kind::SetWatches, paths.join(",")) }
        }
        _ => {
            let path = PATHS[s.index(PATHS.len())];
            let kind = [
                Kind::Create,
                Kind::Create,
                Kind::Delete,
                Kind::Set,
                Kind::SetAcl,
                Kind::Get,
                Kind::Exists,
                Kind::Children,
                Kind::List,
                Kind::Count,
                Kind::GetAcl,
                Kind::Sync,
                Kind::AddWatch,
            ][s.index(13)];
            let writes = matches!(kind, Kind::Create | Kind::Delete | Kind::Set | Kind::SetAcl);
            let path = if writes && may_configure && path == "/zookeeper/config" { "/zookeeper" } else { path };
            let flags = match kind {
                Kind::Create => ["", "s", "2", "e", "U", "B", "A", "x"][s.index(8)],
                // Nobody shuts others out of the znodes that all need.
                Kind::SetAcl => {
                    ["U", "B", "A", "D", "N"][if path.len() > 1 && path.starts_with("/r") { 3 } else { s.index(3) }]
                }
                Kind::Get | Kind::Exists | Kind::Children | Kind::List => ["", "w"][s.index(2)],
                Kind::AddWatch => ["", "r"][s.index(2)],
                _ => "",
            };
            let version = if kind == Kind::Delete { -1 } else { version };
            Op {
                flags: flags.into(),
                version: if kind == Kind::Set { -1 } else { version },
                data,
                ..Op::new(kind, path)
            }
        }
    }
}
