//! The reference page, as Markdown: what `quorate config-reference` prints.

use std::fmt::Write as _;

use super::key::{Key, Property};
use super::table::GROUPS;

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         `quorate serve zoo.cfg` reads ZooKeeper's configuration file: `key=value` lines in the syntax of Java's\n\
         `.properties`. Every key below is also accepted as `zookeeper.<key>=` in the file, and as `-Dzookeeper.<key>=`\n\
         (or `-D` and the property that is named) in the environment variables SERVER_JVMFLAGS and JVMFLAGS; the file goes\n\
         before the environment, the last line before earlier ones. An unknown key is no error: it warns. A wrong value\n\
         ends the start with exit code 2, the line, and what was expected.\n\n\
         The ensemble is described by\n\n\
         - `server.N=host:quorumPort:electionPort[:participant|:observer][;[clientHost:]clientPort]`, N from 0 and equal to\n\
           the content of `<dataDir>/myid`; an IPv6 address stands in brackets,\n\
         - `group.G=1:2:3` and `weight.N=w`: hierarchical quorums,\n\
         - or by a file of such lines that `dynamicConfigFile` names.\n\n\
         Host names are resolved anew at every connect. Without a `server.N` line the server runs alone.\n",
    );
    for (title, keys) in GROUPS {
        let _ = writeln!(out, "\n## {title}\n");
        out.push_str("| key | property | unit | default | accepts | status | effect |\n| --- | --- | --- | --- | --- | --- | --- |\n");
        for key in *keys {
            row(&mut out, key);
        }
    }
    out
}

fn row(out: &mut String, key: &Key) {
    let property = match key.property {
        Property::File => "file only in Java".to_owned(),
        Property::Zookeeper => format!("`zookeeper.{}`", key.name),
        Property::Named(name) => format!("`{name}`"),
    };
    let mut effect = key.effect.to_owned();
    for (label, text) in [("No effect here", reason(key)), ("Difference", key.java)] {
        if !text.is_empty() {
            let _ = write!(effect, " {label}: {}.", text.trim_end_matches('.'));
        }
    }
    let cells = [&format!("`{}`", key.name), &property, key.unit, key.default, &key.accepts(), key.status(), &effect];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn reason(key: &Key) -> &'static str {
    use super::key::Rule::{Choice, Flag, Int, NoEffect, Only, Text, YesNo};
    match key.rule {
        NoEffect { why, .. } | Choice { why, .. } | Only { why, .. } => why,
        Int { .. } | Flag(_) | YesNo(_) | Text(_) => "",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_key_is_on_the_page() {
        let page = super::page();
        for key in crate::config::table::all() {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
    }
}
