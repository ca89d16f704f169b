//! Every file under `scenarios/` gives what it expects, and the same again where servers need not decode.

use std::path::{Path, PathBuf};

use quorate_server::sim::{one, replay};
use quorate_sim::scenario::Scenario;

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("scenarios/ is there").map(|e| e.expect("readable").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "json") && !path.ends_with("schema.json") {
            out.push(path);
        }
    }
}

#[test]
fn all() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join("scenarios");
    let mut list = Vec::new();
    files(&root, &mut list);
    assert!(list.len() >= 10, "only {} scenarios", list.len());
    let mut wrong = Vec::new();
    for path in list {
        let name = path.strip_prefix(&root).expect("below the root").display().to_string();
        let text = std::fs::read_to_string(&path).expect("readable");
        let scenario = Scenario::parse(&name, &text).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(Some(scenario.name.as_str()), path.file_stem().and_then(|s| s.to_str()), "{name}: the name inside");
        if scenario.spec.mutant.is_some() && !cfg!(feature = "mutants") {
            continue;
        }
        let first = one::run(&scenario.spec, None, false);
        let mut other = scenario.spec.clone();
        other.network.typed = !other.network.typed;
        let again = one::run(&other, None, false);
        let mut differences: Vec<String> =
            replay::differences(&scenario, &first).iter().map(ToString::to_string).collect();
        if first.outcome.as_ref().map(|o| o.digest) != again.outcome.as_ref().map(|o| o.digest) {
            differences.push("typed and encoded connections give different digests".into());
        }
        if !differences.is_empty() {
            let violation = first.violation.map(|v| format!("{} at {} ms: {}", v.invariant, v.at_ms, v.text));
            wrong.push(format!("{name}: {differences:?} {}", violation.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
