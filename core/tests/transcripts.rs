//! The protocol, line by line: every script in `core/tests/zab` is run and compared with its reviewed snapshot.
//!
//! A snapshot claims "this is what the protocol says". After a change look at each difference, then
//! `INSTA_UPDATE=always cargo test -p quorate-core --test transcripts`.

#![allow(unreachable_pub)] // Nothing is outside of a test.

mod transcript;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[test]
fn transcripts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zab");
    let mut scripts: Vec<_> = std::fs::read_dir(dir)
        .expect("scripts are part of the project")
        .map(|e| e.expect("readable directory").path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    scripts.sort();
    let only = std::env::var("TRANSCRIPT").unwrap_or_default();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let failed: Vec<String> = scripts
        .iter()
        .map(|path| (path, path.file_stem().expect("a name").to_string_lossy().into_owned()))
        .filter(|(_, name)| name.contains(&only))
        .filter_map(|(path, name)| {
            let text = std::fs::read_to_string(path).expect("readable script");
            let check = AssertUnwindSafe(|| {
                let (transcript, reports) = transcript::run_in_pieces(&text, usize::MAX);
                let again = transcript::run(&text);
                assert_eq!(transcript, again, "{name}: the same script, the same transcript");
                for piece in [1, 13] {
                    let cut = transcript::run_in_pieces(&text, piece).1;
                    assert_eq!(reports, cut, "{name}: it makes no difference where the network cuts a stream");
                }
                settings.bind(|| insta::assert_snapshot!(name.as_str(), transcript));
            });
            let ended = catch_unwind(check);
            if ended.is_err() {
                eprintln!("that was {name}");
            }
            ended.is_err().then_some(name)
        })
        .collect();
    assert!(failed.is_empty(), "transcripts that differ or fail: {failed:?}");
}
