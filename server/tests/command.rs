//! The binary from outside: exit codes and what it says.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn quorate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(arguments)
        .env_remove("SERVER_JVMFLAGS")
        .env_remove("JVMFLAGS")
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("quorate-command-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
    fn config(&self, text: &str) -> String {
        let file = self.0.join("zoo.cfg");
        fs::write(&file, text.replace("DIR", &self.0.display().to_string())).unwrap();
        file.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn invalid_invocations_and_configurations_exit_with_2() {
    let scratch = Scratch::new("invalid");
    for arguments in
        [&["serve"] as &[&str], &["nonsense"], &["dev", "--servers", "0"], &["serve", "1", "2", "3", "4", "5"]]
    {
        assert_eq!(quorate(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = quorate(&["serve", "no/such/zoo.cfg"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("Invalid config, exiting abnormally"), "{}", text(&output));
    let output = quorate(&["serve", &scratch.config("dataDir=DIR\nclientPort=x\n"), "--log-format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let lines: Vec<serde_json::Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("zoo.cfg:2: clientPort: \"x\" is not valid"), "{last}");
}

#[test]
fn data_directories_that_cannot_be_used_exit_with_3() {
    let scratch = Scratch::new("data");
    fs::write(scratch.0.join("file"), "").unwrap();
    fs::create_dir_all(scratch.0.join("logs/version-2")).unwrap();
    fs::write(scratch.0.join("logs/version-2/snapshot.1"), "").unwrap();
    for (config, want) in [
        ("dataDir=DIR/none\ndatadir.autocreate=false\n", "Missing data directory"),
        ("dataDir=DIR/file\n", "Unable to create data directory"),
        ("dataDir=DIR/data\ndataLogDir=DIR/logs\n", "Log directory has snapshot files"),
    ] {
        let output = quorate(&["serve", &scratch.config(config)]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        assert!(text(&output).contains(want), "{}", text(&output));
    }
}

#[test]
fn a_data_directory_has_one_server() {
    let scratch = Scratch::new("claimed");
    fs::create_dir_all(scratch.0.join("data/quorate")).unwrap();
    let lock = fs::File::create(scratch.0.join("data/quorate/lock")).unwrap();
    lock.lock().unwrap();
    let output = quorate(&["serve", &scratch.config("dataDir=DIR/data\nclientPort=0\n")]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("is used by another server that runs"), "{}", text(&output));
}

#[test]
fn help_teaches() {
    let output = quorate(&["--help"]);
    assert!(output.status.success() && text(&output).contains("quorate serve zoo.cfg"), "{}", text(&output));
    assert!(text(&quorate(&["--version"])).starts_with("quorate "));
    assert!(text(&quorate(&["config-reference"])).contains("| `snapCount` |"));
}
