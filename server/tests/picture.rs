//! The page of a run: one file, with everything in it, that asks nobody for anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn quorate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate")).arg("sim").args(arguments).output().expect("it starts")
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("quorate-picture-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("writable");
    dir
}

fn block(page: &str, id: &str) -> Value {
    let mark = format!("<script type=\"application/json\" id=\"{id}\">");
    let (_, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("no block {id}"));
    let (json, _) = rest.split_once("</script>").expect("it ends");
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{id}: {e}"))
}

fn is_self_contained(page: &str) {
    for reference in ["http://", "https://", "src=", "@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!page.contains(reference), "{reference} in the page");
    }
    assert!(!page.contains("{{"), "a mark of the template is left");
    assert_eq!(page.matches("<script").count(), 3);
    assert_eq!(page.matches("</script>").count(), 3);
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).expect("it was written")
}

#[test]
fn a_run_is_one_file_with_everything_in_it() {
    let dir = scratch("run");
    let file = dir.join("seven.html");
    let name = file.display().to_string();
    let typed = dir.join("typed.html");
    let out = quorate(&["run", "--seed", "7", "--connections", "typed", "--html", &typed.display().to_string()]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let out = quorate(&["run", "--seed", "7", "--json", "--html", &name]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let line: Value = serde_json::from_slice(&out.stdout).expect("a line of JSON");
    let page = read(&file);
    is_self_contained(&page);
    let (about, facts) = (block(&page, "about"), block(&page, "facts"));
    assert_eq!((&about["digest"], &about["verdict"]), (&line["digest"], &line["verdict"]));
    let servers: Vec<&str> =
        about["servers"].as_array().expect("lanes").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(servers, ["s1", "s2", "s3", "s4", "s5"]);
    assert!(facts["facts"].as_array().is_some_and(|f| f.len() > 10_000));
    let typed = read(&typed);
    assert_eq!(block(&typed, "facts"), facts, "messages beside the bytes change nothing");
    assert_eq!(about["command"], "quorate sim run --seed 7");
    assert_eq!(block(&typed, "about")["command"], "quorate sim run --seed 7 --connections typed");
    // The scenario that readers take faults out of names the same ones, and replays.
    let ids = |list: &Value, key: &str| -> Vec<u64> {
        list.as_array().expect("faults").iter().filter_map(|f| f.pointer(key).and_then(Value::as_u64)).collect()
    };
    let explicit = &about["scenario"]["faults"]["explicit"];
    assert_eq!(ids(&facts["faults"], "/fault/id"), ids(explicit, "/id"));
    let again = dir.join("again.json");
    let mut scenario = about["scenario"].clone();
    scenario["faults"]["explicit"].as_array_mut().expect("faults").truncate(3);
    scenario["expect"] = serde_json::json!({"verdict": "pass"});
    std::fs::write(&again, scenario.to_string()).expect("writable");
    let out = quorate(&["replay", &again.display().to_string(), "--html", &name]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(block(&read(&file), "facts")["faults"].as_array().map(Vec::len), Some(3));
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[test]
fn what_cannot_be_written_is_said() {
    let dir = scratch("unwritable");
    let out = quorate(&["run", "--seed", "7", "--html", &dir.display().to_string()]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    assert!(String::from_utf8_lossy(&out.stderr).contains(&dir.display().to_string()), "{out:?}");
    assert_eq!(quorate(&["run", "--seed", "7", "--messages"]).status.code(), Some(2), "without --trace");
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[cfg(feature = "mutants")]
#[test]
fn a_failing_seed_leaves_its_picture_beside_its_scenario() {
    let dir = scratch("fuzz");
    let folder = dir.display().to_string();
    let arguments = ["fuzz", "--seeds", "1000000..1000001", "--mutant", "K01", "--html", "--out", &folder];
    assert_eq!(quorate(&arguments).status.code(), Some(1));
    assert!(dir.join("quorate-K01-seed-1000000.json").is_file());
    let page = read(&dir.join("quorate-K01-seed-1000000.html"));
    is_self_contained(&page);
    let violation = &block(&page, "facts")["violation"];
    assert_eq!(violation["invariant"], "Z13");
    assert!(violation["first"].is_u64() && violation["second"].is_u64(), "{violation}");
    assert!(violation["happened"].as_str().is_some_and(|t| t.contains("acknowledges")), "{violation}");
    std::fs::remove_dir_all(dir).expect("it was made");
}
