//! `server.N`, `group.G`, `weight.N` and `version`: who belongs to the ensemble (operations section 3).

use std::collections::BTreeMap;

use quorate_core::config::{Ensemble, Member, MemberKind};
use quorate_core::ids::Sid;

use super::problem::{Origin, Problem};

/// What ZooKeeper says of a server line that it cannot read.
const WRONG_FORM: &str = "does not have the form server_config or server_config;client_config where server_config is the \
                          pipe separated list of host:port:port or host:port:port:type and client_config is port or \
                          host:port";

/// One line, after duplicates are gone.
#[derive(Clone, Debug)]
pub struct Line {
    /// `server.1`, `group.2`, `weight.3` or `version`.
    pub key: String,
    /// As written.
    pub value: String,
    /// Where.
    pub origin: Origin,
}

/// Whether a key describes the ensemble.
#[must_use]
pub fn is_member_key(key: &str) -> bool {
    key.starts_with("server.") || key.starts_with("group.") || key.starts_with("weight.") || key == "version"
}

/// Reads the lines; the order does not matter. An ensemble without members is a standalone server.
pub fn parse(lines: &[Line], multi_address: bool) -> Result<Ensemble, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut members = BTreeMap::new();
    let mut group_of: BTreeMap<i64, i64> = BTreeMap::new();
    let mut weights = BTreeMap::new();
    let mut version = 0;
    for line in lines {
        let read = || -> Result<Parsed, String> {
            if line.key == "version" {
                return hexadecimal(&line.value).map(Parsed::Version);
            }
            let (word, number) = line.key.split_once('.').unwrap_or((&line.key, ""));
            let id =
                id(number).ok_or_else(|| format!("\"{number}\" is not a number; expected {word}.N with N from 0"))?;
            match word {
                "server" => server(id, &line.value, multi_address).map(Parsed::Server),
                "group" => {
                    let sids = line.value.split(':').map(|s| id_of(s.trim())).collect::<Result<_, _>>()?;
                    Ok(Parsed::Group(id, sids))
                }
                _ => weight(&line.value).map(|w| Parsed::Weight(id, w)),
            }
        };
        let parsed = match read() {
            Ok(parsed) => parsed,
            Err(what) => {
                problems.push(Problem::new(what).from(line.origin.clone()).key(&line.key));
                continue;
            }
        };
        match parsed {
            Parsed::Version(v) => version = v,
            Parsed::Server(member) => {
                members.insert(member.sid, member);
            }
            Parsed::Weight(sid, weight) => {
                weights.insert(sid, weight);
            }
            Parsed::Group(group, sids) => {
                for sid in sids {
                    if group_of.insert(sid, group).is_some() {
                        let what = format!("Server {sid} is in multiple groups");
                        problems.push(Problem::new(what).from(line.origin.clone()).key(&line.key));
                    }
                }
            }
        }
    }
    let hierarchical = !group_of.is_empty() || !weights.is_empty();
    if hierarchical && problems.is_empty() {
        for member in members.values_mut() {
            member.group = group_of.get(&member.sid.0).copied();
            member.weight = weights.get(&member.sid.0).copied().unwrap_or(1);
            if member.kind == MemberKind::Participant && member.group.is_none() {
                problems.push(Problem::new(format!(
                    "Server {} is not in a group; expected every participant in one group.G line",
                    member.sid
                )));
            }
        }
        for sid in group_of.keys().chain(weights.keys()) {
            if !members.contains_key(&Sid(*sid)) {
                problems
                    .push(Problem::new(format!("a group or weight names server {sid}, but there is no server.{sid}")));
            }
        }
    }
    if problems.is_empty() { Ok(Ensemble { members: members.into_values().collect(), version }) } else { Err(problems) }
}

enum Parsed {
    Version(i64),
    Server(Member),
    Group(i64, Vec<i64>),
    Weight(i64, i64),
}

fn id(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|n| *n >= 0)
}

fn id_of(text: &str) -> Result<i64, String> {
    id(text).ok_or_else(|| format!("\"{text}\" is not a server id; expected ids separated by colons, as in 1:2:3"))
}

fn weight(text: &str) -> Result<i64, String> {
    let weight = text.parse::<u32>().map_err(|_| format!("\"{text}\" is not valid: expected a whole number from 0"))?;
    Ok(i64::from(weight))
}

/// The version of a configuration, as its text and the names of dynamic files carry it.
pub fn hexadecimal(text: &str) -> Result<i64, String> {
    i64::from_str_radix(text, 16)
        .ok()
        .filter(|v| *v >= 0)
        .ok_or_else(|| format!("\"{text}\" is not valid: expected a hexadecimal number"))
}

fn server(sid: i64, text: &str, multi_address: bool) -> Result<Member, String> {
    let wrong = || format!("{text} {WRONG_FORM}");
    let (addresses, client) = match text.split_once(';') {
        Some((addresses, client)) => (addresses.trim(), Some(client.trim())),
        None => (text, None),
    };
    if addresses.contains('|') {
        return Err(if multi_address {
            format!("several addresses of one server are not supported yet; expected one for sid {sid}")
        } else {
            format!("Multiple address feature is disabled, but multiple addresses were specified for sid {sid}")
        });
    }
    let (host, rest) = host_and_rest(addresses).ok_or_else(wrong)?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (quorum, election, kind) = match parts[..] {
        [quorum, election] => (quorum, election, MemberKind::Participant),
        [quorum, election, kind] => (quorum, election, member_kind(kind)?),
        _ => return Err(wrong()),
    };
    let client = match client {
        None => None,
        Some(text) => Some(client_address(text).ok_or_else(wrong)?.into()),
    };
    Ok(Member {
        sid: Sid(sid),
        quorum: format!("{host}:{}", port(quorum).ok_or_else(wrong)?).into(),
        election: format!("{host}:{}", port(election).ok_or_else(wrong)?).into(),
        client,
        kind,
        weight: 1,
        group: None,
    })
}

fn member_kind(text: &str) -> Result<MemberKind, String> {
    match text.to_ascii_lowercase().as_str() {
        "participant" => Ok(MemberKind::Participant),
        "observer" => Ok(MemberKind::Observer),
        _ => Err(format!("Unrecognised peertype: {text}; expected participant or observer")),
    }
}

/// `2181` or `host:2181`, as `host:port`.
fn client_address(text: &str) -> Option<String> {
    if let Some(port) = port(text) {
        return Some(format!("0.0.0.0:{port}"));
    }
    let (host, rest) = host_and_rest(text)?;
    Some(format!("{host}:{}", port(rest)?))
}

/// The host (an IPv6 address in brackets) and what stands behind the colon after it.
fn host_and_rest(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':')? };
    let (host, rest) = text.split_at(end);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    Some((host, rest.strip_prefix(':')?))
}

fn port(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        text.lines()
            .enumerate()
            .map(|(i, l)| {
                let (key, value) = l.split_once('=').unwrap();
                Line { key: key.into(), value: value.into(), origin: Origin::Line("f".into(), i + 1) }
            })
            .collect()
    }

    fn text(config: &str) -> String {
        parse(&lines(config), false).unwrap().text()
    }

    fn problem(config: &str) -> String {
        parse(&lines(config), false).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn printed_form() {
        assert_eq!(
            text("server.2=b:2888:3888:observer;10.0.0.2:2181\nserver.1=a:2888:3888;2181\nversion=100000000"),
            "server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:2888:3888:observer;10.0.0.2:2181\nversion=100000000"
        );
        assert_eq!(text("server.1=[::1]:1:2:Participant"), "server.1=[::1]:1:2:participant\nversion=0");
    }

    #[test]
    fn groups_and_weights() {
        let ensemble =
            parse(&lines("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer\ngroup.1=1:2\nweight.2=0"), false)
                .unwrap();
        let m = &ensemble.members;
        assert_eq!((m[0].group, m[0].weight), (Some(1), 1));
        assert_eq!((m[1].group, m[1].weight), (Some(1), 0));
        assert_eq!((m[2].group, m[2].weight), (None, 1));
        assert!(problem("server.1=a:1:2\nserver.2=a:1:2\ngroup.1=1").contains("Server 2 is not in a group"));
        assert!(
            problem("server.1=a:1:2\ngroup.1=1\ngroup.2=1").contains("f:3: group.2: Server 1 is in multiple groups")
        );
        assert!(problem("server.1=a:1:2\ngroup.1=1:x").contains("\"x\" is not a server id"));
        assert!(problem("server.1=a:1:2\ngroup.1=1:9").contains("there is no server.9"));
        assert!(problem("weight.1=-1").contains("expected a whole number from 0"));
    }

    #[test]
    fn refusals() {
        for bad in [
            "a",
            "a:1",
            "a:1:2:participant:x",
            "a:x:2",
            "a:1:70000",
            ":1:2",
            "::1:1:2",
            "[::1:1:2",
            "a:1:2;",
            "a:1:2;h:x",
            "a:1:2;h:1:2",
            "a b:1:2",
            "[]:1:2",
            "",
            ";",
            "a:+1:2",
        ] {
            let got = problem(&format!("server.1={bad}"));
            assert!(got.starts_with("f:1: server.1: "), "{got}");
            assert!(got.ends_with("client_config is port or host:port"), "{bad:?}: {got}");
        }
        assert!(problem("server.1=a:1:2:boss").contains("Unrecognised peertype: boss"));
        assert!(problem("server.x=a:1:2").contains("\"x\" is not a number"));
        assert!(problem("server.-1=a:1:2").contains("is not a number"));
        assert!(problem("server.1=a:1:2|b:1:2").contains("Multiple address feature is disabled"));
        assert!(problem("version=xyz").contains("hexadecimal"));
    }

    #[test]
    fn any_text() {
        fn prop(key: String, value: String) -> bool {
            let line = |k: &str| Line { key: k.to_owned(), value: value.clone(), origin: Origin::File("f".into()) };
            for k in ["server.1", "group.1", "weight.1", "version", &format!("server.{key}")] {
                let _ = parse(&[line(k)], true);
            }
            true
        }
        quickcheck::quickcheck(prop as fn(String, String) -> bool);
        fn awkward(picks: Vec<u8>) -> bool {
            let alphabet = b"[]:;|1a.2 0";
            let value = picks.iter().map(|p| char::from(alphabet[usize::from(*p) % alphabet.len()])).collect();
            let _ = parse(&[Line { key: "server.1".into(), value, origin: Origin::File("f".into()) }], false);
            true
        }
        quickcheck::quickcheck(awkward as fn(Vec<u8>) -> bool);
    }
}
