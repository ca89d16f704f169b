//! Writes the first corpora: the recorded conversations as programs for `client`, their requests for `request`.
//!
//! `cargo run --release --bin seeds` in this directory; existing files of other names stay.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use quorate_fuzz::harness::{Op, seeds};

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let dir = here.join("corpus").join(target);
        fs::create_dir_all(&dir).expect("a directory beside this crate can be made");
        fs::write(dir.join(name), bytes).expect("a file can be written there");
    };
    let mut requests = BTreeSet::new();
    let vectors = seeds::vectors(&here.join("../core/tests/vectors/client"));
    for (name, program) in &vectors {
        write("client", name, &program.encode());
        for op in &program.ops {
            if let Op::Request { op, body, .. } = op {
                requests.insert([&[program.profile.byte(), *op as u8][..], body].concat());
            }
        }
    }
    for (n, request) in requests.iter().enumerate() {
        write("request", &format!("recorded-{n:03}"), request);
    }
    println!("{} programs, {} requests below {}", vectors.len(), requests.len(), here.join("corpus").display());
}
