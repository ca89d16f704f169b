//! Rules about the sources that no compiler checks: layers, cycles, iteration over hash maps, size, leftovers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Layer of each top-level module of `core`; a module imports only from layers below its own.
const LAYERS: &[(&str, u32)] = &[
    ("ids", 0),
    ("hash", 0),
    ("slots", 0),
    ("error", 0),
    ("message", 0),
    ("event", 0),
    ("mutant", 0),
    ("jute", 10),
    ("config", 10),
    ("wire", 20),
    ("quorum", 20),
    ("disk", 30),
    ("tree", 30),
    ("session", 30),
    ("watch", 30),
    // Between the state and the connections: turns requests into transactions, answers and reads.
    ("request", 35),
    ("front", 40),
    ("election", 40),
    ("zab", 40),
    ("peer", 50),
];

/// Within layer 0: hash < ids < error < message < event; nothing imports mutant there.
const BASE_ORDER: &[&str] = &["hash", "ids", "error", "message", "event", "mutant"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("core lies in the workspace").to_path_buf()
}

fn sources(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<_> = entries.map(|e| e.expect("readable directory").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target") {
                sources(&path, out);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("readable source");
            out.push((path, text));
        }
    }
}

fn crate_sources(name: &str) -> Vec<(PathBuf, String)> {
    let mut out = Vec::new();
    sources(&root().join(name).join("src"), &mut out);
    out
}

fn layer(module: &str) -> Option<u32> {
    LAYERS.iter().find(|(m, _)| *m == module).map(|(_, l)| *l)
}

/// Code without comments and without what follows the first test module.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let name: String = text[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if layer(&name).is_some() {
            found.insert(name);
        }
    }
    found
}

#[test]
fn modules_import_only_from_layers_below() {
    let base = root().join("core/src");
    for (path, text) in crate_sources("core") {
        let relative = path.strip_prefix(&base).expect("below core/src");
        let first = relative.components().next().expect("a file").as_os_str().to_string_lossy().to_string();
        let module = first.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = layer(module).unwrap_or_else(|| panic!("{module} has no layer: add it to LAYERS"));
        for import in imports(&code(&text)) {
            let other = layer(&import).expect("only known modules are found");
            let order = |m: &str| BASE_ORDER.iter().position(|b| *b == m);
            let fine = import == module || other < own || (own == 0 && other == 0 && order(&import) < order(module));
            assert!(fine, "{}: {module} (layer {own}) imports {import} (layer {other})", relative.display());
        }
    }
}

#[test]
fn no_iteration_over_a_hash_map() {
    for name in ["core", "sim"] {
        for (path, text) in crate_sources(name) {
            let text = code(&text);
            let mut maps = BTreeSet::new();
            for line in text.lines() {
                if let Some((field, kind)) = line.split_once(':')
                    && ["HashMap<", "HashSet<", "HashTable<"].iter().any(|m| kind.trim_start().starts_with(m))
                {
                    let field = field.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
                    maps.insert(field.trim_start_matches("let mut ").trim_start_matches("let ").to_string());
                }
            }
            for map in maps {
                for walk in ["iter()", "iter_mut()", "keys()", "values()", "values_mut()", "drain()", "into_iter()"] {
                    let call = format!("{map}.{walk}");
                    assert!(!text.contains(&call), "{}: {call}: order of a hash map", path.display());
                }
                for looped in [format!("in &self.{map} "), format!("in &mut self.{map} "), format!("in self.{map} ")] {
                    assert!(!text.contains(&looped), "{}: {looped}: order of a hash map", path.display());
                }
            }
        }
    }
}

#[test]
fn the_pure_crates_know_nothing_of_the_outside() {
    let banned = ["std::time", "std::thread", "std::net", "std::fs", "std::env", "tokio", "thread_rng", "RandomState"];
    for name in ["core", "sim"] {
        for (path, text) in crate_sources(name) {
            let text = code(&text);
            for word in banned {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

/// The exhaustive search of `sim` tells Peers apart by `Debug`: what hides a field there would make two states one.
#[test]
fn debug_hides_nothing() {
    let mut own = Vec::new();
    for (path, text) in crate_sources("core") {
        for line in
            code(&text).lines().filter(|line| line.trim_start().starts_with("impl") && line.contains("Debug for"))
        {
            let name = line.split("Debug for ").nth(1).unwrap_or_default();
            own.push((name.trim_end_matches([' ', '{']).to_owned(), path.display().to_string()));
        }
    }
    own.sort();
    let names: Vec<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
    // Ids show their number, a checksum its sum, slots what is in them, which is all of it; a tree its sessions and its digest.
    assert_eq!(names, ["Adler", "DataTree", "NodeRef<'_>", "SessionId", "Slots<T>", "Zxid"], "{own:?}");
}

#[test]
fn files_have_one_subject_and_no_leftovers() {
    let marks = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("FIX", "ME"), concat!("#[ig", "nore")];
    for name in ["core", "sim", "net", "server"] {
        for (path, text) in crate_sources(name) {
            let lines = text.lines().count();
            assert!(lines <= 800, "{}: {lines} lines; split it by subject", path.display());
            for mark in marks {
                assert!(!text.contains(mark), "{}: {mark}", path.display());
            }
        }
    }
}

#[test]
fn every_scenario_has_its_own_name() {
    let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
    let Ok(areas) = std::fs::read_dir(root().join("scenarios")) else { return };
    for area in areas {
        let area = area.expect("readable directory").path();
        if !area.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&area).expect("readable directory") {
            let file = file.expect("readable directory").path();
            let name = file.file_name().expect("a file").to_string_lossy().to_string();
            assert!(names.insert(name.clone(), file).is_none(), "{name} twice");
        }
    }
}
