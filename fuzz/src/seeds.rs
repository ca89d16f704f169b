//! Writes the first corpora: the recorded conversations as programs for `client`, their requests for `request`, recorded messages
//! between servers for `decoders`, and what earlier runs have found new. `-- pack` takes what is new back into git.
//!
//! Run it in this directory; existing files of other names stay.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_fuzz::harness::{Op, seeds};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let dir = here().join("corpus").join(target);
    fs::create_dir_all(&dir).expect("a directory beside this crate can be made");
    fs::write(dir.join(name), bytes).expect("a file can be written there");
}

/// The file in git that holds a target's inputs.
fn packed(target: &str) -> PathBuf {
    here().join(format!("../core/tests/hostile/corpus/{target}.txt"))
}

fn unpack() {
    let vectors = here().join("../core/tests/vectors");
    let (mut requests, mut messages) = (BTreeSet::new(), BTreeSet::new());
    for (name, program) in seeds::vectors(&vectors.join("client")) {
        write("client", &name, &program.encode());
        for op in &program.ops {
            if let Op::Request { op, body, .. } = op {
                requests.insert([&[program.profile.byte(), *op as u8][..], body].concat());
            }
        }
    }
    messages.extend(seeds::messages(&vectors.join("quorum")).into_iter().filter(|m| m.len() < 2000));
    for (target, inputs) in [("request", requests), ("decoders", messages)] {
        for (n, bytes) in inputs.iter().enumerate() {
            write(target, &format!("recorded-{n:03}"), bytes);
        }
    }
    for target in ["client", "request"] {
        for (n, bytes) in seeds::packed(&packed(target)).iter().enumerate() {
            write(target, &format!("packed-{n:04}"), bytes);
        }
    }
}

/// Bytes of a packed corpus, at most: the smallest inputs come first.
const PACKED_MAX: usize = 60_000;

fn pack() {
    for target in ["client", "request"] {
        let mut inputs: Vec<Vec<u8>> = fs::read_dir(here().join("corpus").join(target))
            .expect("a corpus: run a target first")
            .map(|entry| fs::read(entry.expect("an entry").path()).expect("a readable input"))
            .collect();
        inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        inputs.dedup();
        let (mut text, mut n) = (String::new(), 0);
        for input in inputs.iter().filter(|input| !input.is_empty()) {
            n += input.len();
            if n > PACKED_MAX {
                break;
            }
            text.extend(input.iter().map(|b| format!("{b:02x}")));
            text.push('\n');
        }
        fs::write(packed(target), text).expect("the packed corpus can be written");
    }
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => unpack(),
        Some("pack") => pack(),
        Some(other) => panic!("{other:?} is nothing to do: nothing, or pack"),
    }
}
