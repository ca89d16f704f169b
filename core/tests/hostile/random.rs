//! Programs drawn at random: every opcode, its fields right, odd and broken; recorded conversations with wounds.
//!
//! The seed is fixed: a failure repeats.

use std::path::Path;
use std::sync::LazyLock;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use crate::harness::{Op, Profile, Program, SLOTS, request, request_shape, requests, run, seeds};

fn below(g: &mut Gen, n: usize) -> usize {
    usize::arbitrary(g) % n
}

fn pick<T: Copy>(g: &mut Gen, of: &[T]) -> T {
    of[below(g, of.len())]
}

fn one_in(g: &mut Gen, n: usize) -> bool {
    below(g, n) == 0
}

// ----- fields --------------------------------------------------------------------------------------------------------

const PATHS: [&str; 24] = [
    "/",
    "/a",
    "/a",
    "/a/b",
    "/a/b",
    "/a/b/c",
    "/q",
    "/q/",
    "/q/n-",
    "/e",
    "/e/x",
    "",
    "a",
    "/a/",
    "/a//b",
    "/a/./b",
    "/a\0b",
    "/\u{e000}",
    "/zookeeper",
    "/zookeeper/config",
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
    "/none",
];

/// Those that mostly exist, or may be made.
const USUAL: [&str; 8] = ["/a", "/a", "/a/b", "/a/b", "/q", "/q/n-", "/e", "/c"];

const SCHEMES: [&str; 8] = ["world", "world", "auth", "digest", "ip", "super", "sasl", ""];
const IDS: [&str; 12] =
    ["anyone", "anyone", "", "u:p", "a:b", ":b", "a:", "127.0.0.1", "10.0.0.0/8", "10.0.0.9", "::1/129", "300.1.1.1"];
const TEXTS: [&[u8]; 8] = [
    b"",
    b"d",
    b"count=1,bytes=5",
    b"count=2,bytes=-1=;byteHardLimit=9;countHardLimit=1",
    b"count=x",
    b"\xff\xfe",
    b"u:p",
    b"super:adm",
];
const INTS: [i32; 16] = [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, -1, -1, -2, i32::MIN, i32::MAX, 1 << 24];
const LONGS: [i64; 9] = [-1, 0, 1, 1000, 0xff_ffff_ffff, 0x100_0000_0000, i64::MIN, i64::MAX, 7];

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_or_null(g: &mut Gen, out: &mut Vec<u8>, bytes: &[u8]) {
    if one_in(g, 24) { out.extend([0xff; 4]) } else { put(out, bytes) }
}

fn count(g: &mut Gen, out: &mut Vec<u8>, n: usize) {
    let claimed = if one_in(g, 20) { pick(g, &INTS) } else { n as i32 };
    out.extend(claimed.to_be_bytes());
}

fn path(g: &mut Gen) -> String {
    match below(g, 24) {
        0 => String::arbitrary(g),
        1 => "/long".repeat(below(g, 60)),
        2..=15 => pick(g, &USUAL).into(),
        _ => pick(g, &PATHS).into(),
    }
}

fn field(g: &mut Gen, letter: char, out: &mut Vec<u8>) {
    match letter {
        'i' => out.extend(if one_in(g, 10) { i32::arbitrary(g) } else { pick(g, &INTS) }.to_be_bytes()),
        'l' => out.extend(pick(g, &LONGS).to_be_bytes()),
        'z' => out.push(if one_in(g, 8) { u8::arbitrary(g) } else { u8::from(bool::arbitrary(g)) }),
        'b' => match below(g, 8) {
            0 => put(out, &vec![b'x'; below(g, 3000)]),
            1 => put(out, &Vec::arbitrary(g)),
            _ => {
                let text = pick(g, &TEXTS);
                put_or_null(g, out, text);
            }
        },
        's' => {
            let path = path(g);
            put_or_null(g, out, path.as_bytes());
        }
        'V' => {
            let n = below(g, 6);
            count(g, out, n);
            (0..n).for_each(|_| field(g, 's', out));
        }
        'A' => {
            // Mostly one that is accepted: the rest of the checks is behind it.
            let (n, easy) = (1 + below(g, 3), !one_in(g, 4));
            let n = if easy { 1 } else { n };
            count(g, out, n);
            for _ in 0..n {
                let perms = if easy { 31 } else { pick(g, &INTS) };
                out.extend(perms.to_be_bytes());
                let (scheme, id) = if easy { (0, 0) } else { (below(g, SCHEMES.len()), below(g, IDS.len())) };
                put_or_null(g, out, SCHEMES[scheme].as_bytes());
                put_or_null(g, out, IDS[id].as_bytes());
            }
        }
        other => panic!("no field is written {other}"),
    }
}

fn fields(g: &mut Gen, shape: &str) -> Vec<u8> {
    let mut out = Vec::new();
    shape.chars().for_each(|letter| field(g, letter, &mut out));
    out
}

/// The body of a create has its flags in the end, where they decide about everything: mostly usual ones.
fn body(g: &mut Gen, op: i32) -> Vec<u8> {
    match op {
        100 if !one_in(g, 3) => {
            let scheme = pick(g, &["digest", "digest", "ip", "world"]);
            let mut out = vec![0; 4];
            put(&mut out, scheme.as_bytes());
            let text = pick(g, &TEXTS);
            put_or_null(g, &mut out, text);
            out
        }
        1 | 15 | 19 | 21 if !one_in(g, 4) => {
            let mut out = fields(g, "sbA");
            let flags = if op == 21 { 5 + below(g, 2) } else { below(g, 5) };
            out.extend((flags as i32).to_be_bytes());
            if op == 21 {
                out.extend(if one_in(g, 4) { pick(g, &LONGS) } else { 60_000 }.to_be_bytes());
            }
            out
        }
        2 | 5 | 7 if !one_in(g, 3) => {
            let mut out = fields(g, ["s", "sb", "sA"][[2, 5, 7].iter().position(|o| *o == op).expect("one of them")]);
            out.extend((-1_i32).to_be_bytes());
            out
        }
        14 | 22 => {
            let kinds: &[i32] = match below(g, 12) {
                0 => &[1, 4, 7, 8, 2, 100],
                _ if op == 14 => &[1, 15, 19, 21, 2, 5, 13],
                _ => &[4, 8],
            };
            let mut out = Vec::new();
            for _ in 0..below(g, 6) {
                let kind = pick(g, kinds);
                out.extend(kind.to_be_bytes());
                out.extend([0, 0xff, 0xff, 0xff, 0xff]);
                out.extend(body(g, kind));
            }
            if !one_in(g, 12) {
                out.extend([0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff]);
            }
            out
        }
        _ => fields(g, request_shape(op).unwrap_or("sz")),
    }
}

/// What happens to bytes: flipped, overwritten by a hostile length, cut, repeated, longer.
fn wound(g: &mut Gen, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return bytes.extend(Vec::<u8>::arbitrary(g));
    }
    let at = below(g, bytes.len());
    match below(g, 7) {
        0 => bytes[at] ^= 1 << below(g, 8),
        1 => bytes[at] = u8::arbitrary(g),
        2 | 3 => {
            let length = pick(g, &INTS).to_be_bytes();
            let end = (at + 4).min(bytes.len());
            bytes[at..end].copy_from_slice(&length[..end - at]);
        }
        4 => bytes.truncate(at),
        5 => {
            let copy = bytes[at..].to_vec();
            bytes.extend(copy);
        }
        _ => bytes.extend(Vec::<u8>::arbitrary(g)),
    }
}

// ----- programs ------------------------------------------------------------------------------------------------------

/// A ConnectRequest of any shape.
fn hello(g: &mut Gen) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(pick(g, &[0, 0, 0, 1, 5, i64::MAX, -1]).to_be_bytes());
    field(g, 'i', &mut out);
    out.extend(pick(g, &[0, 0, 0, 0x0100_0000_0000_0000, -1_i64]).to_be_bytes());
    let len = pick(g, &[16, 16, 16, 0, 3, 200]);
    put_or_null(g, &mut out, &vec![0; len]);
    if bool::arbitrary(g) {
        out.push(below(g, 3) as u8);
    }
    if one_in(g, 3) {
        wound(g, &mut out);
    }
    out
}

const WORDS: [&[u8]; 6] =
    [b"ruok", b"srvr", b"stmk\0\0\0\0\0\0\0\0", b"mntr\n", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\0\x01"];

fn op(g: &mut Gen) -> Op {
    let slot = below(g, SLOTS);
    match below(g, 100) {
        0..=3 => Op::Hello { slot, flag: bool::arbitrary(g) },
        4..=6 => Op::Resume { slot, of: below(g, 2 * SLOTS) },
        7..=8 => Op::Cut(pick(g, &[0, 1, 3, 7, 50])),
        9..=10 => Op::Wait(pick(g, &[1, 5, 20, 60, 250])),
        11..=12 => Op::HangUp { slot },
        13..=15 => Op::Stall { slot, stalled: bool::arbitrary(g) },
        16..=19 => Op::Hold(bool::arbitrary(g)),
        20..=21 => {
            let mut bytes = hello(g);
            bytes.splice(0..0, (bytes.len() as i32).to_be_bytes());
            Op::Raw { slot, bytes }
        }
        22 => Op::Raw { slot, bytes: pick(g, &WORDS).to_vec() },
        23 => Op::Raw { slot, bytes: Vec::arbitrary(g) },
        24 => {
            let mut bytes: Vec<u8> = Vec::arbitrary(g);
            bytes.splice(0..0, [0, 0, 0, below(g, 4) as u8, 0, 0, 0, below(g, 110) as u8]);
            Op::Frame { slot, bytes }
        }
        25 => Op::Frame { slot, bytes: Vec::arbitrary(g) },
        n => {
            let known: Vec<i32> = requests().collect();
            let op = match n {
                26 => pick(g, &[0, -1, 10, 13, 20, -10, 99, 127, -128]),
                27..=60 => pick(g, &[1, 15, 19, 21, 2, 5, 7, 14]),
                _ => pick(g, &known),
            };
            // What ends a connection comes seldom enough for others to meet a living one.
            let op = if op == -11 && !one_in(g, 4) { 11 } else { op };
            let mut body = body(g, op);
            if one_in(g, 5) {
                wound(g, &mut body);
            }
            Op::Request { slot, op, body }
        }
    }
}

impl Arbitrary for Program {
    fn arbitrary(g: &mut Gen) -> Self {
        let profile = Profile::new(u8::arbitrary(g));
        let enforced = !profile.config().features.auth.enforced.is_empty();
        let mut ops = Vec::new();
        // Where nobody is heard without a login, most log in.
        let log_in = |g: &mut Gen, slot: usize, ops: &mut Vec<Op>| {
            if enforced && !one_in(g, 5) {
                let body = b"\0\0\0\0\0\0\0\x06digest\0\0\0\x03u:p".to_vec();
                ops.push(Op::Request { slot, op: 100, body });
            }
        };
        (0..SLOTS).for_each(|slot| log_in(g, slot, &mut ops));
        for _ in 0..below(g, 60) {
            ops.push(op(g));
            if let Op::Hello { slot, .. } | Op::Resume { slot, .. } = ops[ops.len() - 1] {
                log_in(g, slot, &mut ops);
            }
        }
        Self { profile, ops }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let this = self.clone();
        let without = move |(from, len): (usize, usize)| {
            let mut ops = this.ops.clone();
            ops.drain(from..(from + len).min(this.ops.len()));
            Self { profile: this.profile, ops }
        };
        let n = self.ops.len();
        let lens = [n / 2, n / 4, n / 8, 1].into_iter().filter(|len| *len > 0);
        Box::new(lens.flat_map(move |len| (0..n).step_by(len).map(move |from| (from, len))).map(without))
    }
}

/// A recorded conversation to which something has happened.
#[derive(Clone, Debug)]
struct Wounded(Program);

static SEEDS: LazyLock<Vec<Program>> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/client");
    seeds::vectors(&dir).into_iter().map(|(_, program)| program).collect()
});

fn damage(g: &mut Gen, ops: &mut Vec<Op>) {
    if ops.is_empty() {
        return;
    }
    let at = below(g, ops.len());
    match below(g, 8) {
        0 => drop(ops.remove(at)),
        1 => ops.insert(at, ops[at].clone()),
        2 => {
            let other = below(g, ops.len());
            ops.swap(at, other);
        }
        3 => {
            let other = &SEEDS[below(g, SEEDS.len())];
            ops.insert(at, other.ops[below(g, other.ops.len())].clone());
        }
        4 => ops.insert(at, op(g)),
        _ => match &mut ops[at] {
            Op::Request { body: bytes, .. } | Op::Frame { bytes, .. } | Op::Raw { bytes, .. } => wound(g, bytes),
            _ => {}
        },
    }
}

impl Arbitrary for Wounded {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut program = SEEDS[below(g, SEEDS.len())].clone();
        if bool::arbitrary(g) {
            program.profile = Profile::new(u8::arbitrary(g));
        }
        // A part of a long conversation finds as much as the whole.
        let from = below(g, program.ops.len());
        program.ops.drain(..from);
        program.ops.truncate(60);
        (0..1 + below(g, 12)).for_each(|_| damage(g, &mut program.ops));
        Self(program)
    }
    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

// ----- properties ----------------------------------------------------------------------------------------------------

fn check<A: quickcheck::Testable>(tests: u64, size: usize, property: A) {
    let _alone = crate::alone();
    let times: u64 = std::env::var("HOSTILE_TIMES").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let seed = std::env::var("HOSTILE_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    QuickCheck::new().tests(tests * times).rng(Gen::from_size_and_seed(size, seed)).quickcheck(property);
}

#[test]
fn drawn_conversations() {
    fn property(program: Program) -> bool {
        run(&program);
        true
    }
    check(1500, 20, property as fn(Program) -> bool);
}

#[test]
fn wounded_conversations() {
    fn property(Wounded(program): Wounded) -> bool {
        run(&program);
        true
    }
    check(1500, 20, property as fn(Wounded) -> bool);
}

/// A body for each opcode, with wounds.
#[derive(Clone, Debug)]
struct Single(Vec<u8>);

impl Arbitrary for Single {
    fn arbitrary(g: &mut Gen) -> Self {
        let op = if one_in(g, 10) { i32::from(i8::arbitrary(g)) } else { requests().nth(below(g, 28)).unwrap_or(14) };
        let mut body = body(g, op);
        for _ in 0..below(g, 4) {
            wound(g, &mut body);
        }
        body.splice(0..0, [u8::arbitrary(g) % Profile::COUNT, op as u8]);
        Self(body)
    }
}

#[test]
fn single_requests() {
    fn property(Single(bytes): Single) -> bool {
        request(&bytes);
        true
    }
    check(2500, 30, property as fn(Single) -> bool);
}

/// Any bytes at all are a program.
#[test]
fn noise() {
    fn property(bytes: Vec<u8>) -> bool {
        run(&Program::decode(&bytes));
        request(&bytes);
        true
    }
    check(1500, 200, property as fn(Vec<u8>) -> bool);
}
