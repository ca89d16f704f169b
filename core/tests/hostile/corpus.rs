//! What was recorded, and what fuzzing has found, through the same harness as the fuzz targets.

use std::path::{Path, PathBuf};

use crate::harness::{Profile, Program, request, run, seeds};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

#[test]
fn recorded_conversations() {
    let _alone = crate::alone();
    let seeds = seeds::vectors(&root().join("tests/vectors/client"));
    assert!(seeds.len() > 20, "{} scripts", seeds.len());
    for (name, program) in seeds {
        assert_eq!(Program::decode(&program.encode()), program, "{name}");
        for profile in 0..Profile::COUNT {
            run(&Program { profile: Profile::new(profile), ..program.clone() });
        }
    }
}

/// Inputs that the fuzz targets found new: together they reach whatever a run of hours has reached.
#[test]
fn corpora_of_the_fuzz_targets() {
    let _alone = crate::alone();
    let corpus = root().join("tests/hostile/corpus");
    for bytes in seeds::packed(&corpus.join("client.txt")) {
        run(&Program::decode(&bytes));
    }
    for bytes in seeds::packed(&corpus.join("request.txt")) {
        request(&bytes);
    }
}
