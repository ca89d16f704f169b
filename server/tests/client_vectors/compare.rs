//! Bytes against recorded bytes: everything but the masks must be equal, and a mask has its own rule.

use std::collections::{BTreeMap, BTreeSet};

use crate::script::{Frame, Mask};

/// How zxids are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zxids {
    /// Equal: a fresh server alone numbers from 0, as the recorded one did, and a fresh ensemble from epoch 1 on.
    Strict,
    /// Renamed one to one and in order over the whole script; 0 and -1 stay what they are.
    Relaxed,
}

/// What a script has learned so far: which value stands for which recorded one.
#[derive(Clone)]
pub(crate) struct Known {
    sessions: BTreeMap<String, Vec<u8>>,
    passwords: BTreeMap<String, Vec<u8>>,
    zxids: Zxids,
    renamed: BTreeMap<i64, i64>,
}

impl Known {
    pub(crate) fn new(zxids: Zxids) -> Self {
        Self { sessions: BTreeMap::new(), passwords: BTreeMap::new(), zxids, renamed: BTreeMap::new() }
    }

    /// The bytes to send for a recorded request.
    pub(crate) fn substitute(&self, request: &[u8], subst: &[Mask]) -> Vec<u8> {
        let mut bytes = request.to_vec();
        for Mask(offset, length, kind) in subst {
            let value = match kind.split_once(':') {
                Some(("session", label)) => self.sessions[label].clone(),
                Some(("passwd", label)) => self.passwords[label].clone(),
                _ => {
                    let recorded = number(&bytes[*offset..offset + length]);
                    self.renamed.get(&recorded).unwrap_or(&recorded).to_be_bytes().to_vec()
                }
            };
            bytes[*offset..offset + length].copy_from_slice(&value);
        }
        bytes
    }

    /// What is wrong with `got`, as lines to read.
    pub(crate) fn check(&mut self, expected: &Frame, got: &[u8]) -> Result<(), String> {
        let want = &expected.bytes;
        let mut wrong: BTreeSet<usize> = (0..want.len().max(got.len()))
            .filter(|i| want.get(*i) != got.get(*i))
            .filter(|i| !expected.mask.iter().any(|Mask(at, length, _)| (*at..at + length).contains(i)))
            .collect();
        let mut reasons = Vec::new();
        if want.len() != got.len() {
            reasons.push(format!("{} bytes, expected {}", got.len(), want.len()));
        }
        // With another length the masks lie elsewhere, and would only be noise.
        for Mask(at, length, kind) in expected.mask.iter().filter(|_| want.len() == got.len()) {
            let range = *at..at + length;
            let Some(have) = got.get(range.clone()) else { continue };
            if let Err(reason) = self.check_masked(kind, &want[range.clone()], have) {
                reasons.push(format!("offset {at}: {reason}"));
                wrong.extend(range);
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        for (at, name) in [(4, "xid"), (8, "zxid, high"), (12, "zxid, low"), (16, "err")] {
            if let (Some(w), Some(g)) = (int(want, at), int(got, at))
                && want.len() >= 20
                && wrong.contains(&(at + 3))
            {
                reasons.push(format!("{name}, if this is a reply: {g}, expected {w}"));
            }
        }
        Err(format!("{}\n{}", reasons.join("\n"), dump(want, got, &wrong)))
    }

    fn check_masked(&mut self, kind: &str, want: &[u8], have: &[u8]) -> Result<(), String> {
        match kind.split_once(':').unwrap_or((kind, "")) {
            ("session", label) => learn(&mut self.sessions, label, have).map_err(|e| format!("session id of {e}")),
            ("passwd", label) => learn(&mut self.passwords, label, have).map_err(|e| format!("password of {e}")),
            ("zxid", _) => self.check_zxid(number(want), number(have)),
            ("time", _) => match number(have) {
                0 if number(want) == 0 => Ok(()),
                // Between 2020 and 2100, in milliseconds.
                1_577_836_800_000..4_102_444_800_000 => Ok(()),
                other => Err(format!("{other} is no plausible time")),
            },
            ("strset", _) => same_set(strings(want), strings(have), 1),
            ("recset2", _) => same_set(strings(want), strings(have), 2),
            ("any", _) => Ok(()),
            _ => Err(format!("unknown mask {kind}")),
        }
    }

    fn check_zxid(&mut self, want: i64, have: i64) -> Result<(), String> {
        let expected = match self.zxids {
            Zxids::Relaxed if want > 0 => match self.renamed.get(&want) {
                Some(known) => *known,
                None => return self.rename(want, have),
            },
            _ => want,
        };
        if expected == have { Ok(()) } else { Err(format!("zxid {have:#x}, expected {expected:#x}")) }
    }

    /// The first time that a recorded zxid is seen: what stands for it lies between those of its neighbours.
    fn rename(&mut self, want: i64, have: i64) -> Result<(), String> {
        let below = self.renamed.range(..want).next_back().map_or(0, |(_, z)| *z);
        let above = self.renamed.range(want..).next().map_or(i64::MAX, |(_, z)| *z);
        if !(below < have && have < above) {
            return Err(format!("zxid {have:#x} for {want:#x}, expected one between {below:#x} and {above:#x}"));
        }
        self.renamed.insert(want, have);
        Ok(())
    }
}

fn number(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().unwrap())
}

fn learn(known: &mut BTreeMap<String, Vec<u8>>, label: &str, have: &[u8]) -> Result<(), String> {
    let first = known.entry(label.to_owned()).or_insert_with(|| have.to_vec());
    if first == have { Ok(()) } else { Err(format!("{label} is {}, was {}", hex(have), hex(first))) }
}

/// The strings behind the count of a vector; also of a vector of records of strings.
fn strings(bytes: &[u8]) -> Option<Vec<String>> {
    let (mut at, mut found) = (4, Vec::new());
    while at < bytes.len() {
        let length = usize::try_from(int(bytes, at)?).ok()?;
        found.push(String::from_utf8_lossy(bytes.get(at + 4..at + 4 + length)?).into_owned());
        at += 4 + length;
    }
    Some(found)
}

fn same_set(want: Option<Vec<String>>, have: Option<Vec<String>>, group: usize) -> Result<(), String> {
    let sorted = |list: Option<Vec<String>>| {
        let mut records: Vec<Vec<String>> = list?.chunks(group).map(<[String]>::to_vec).collect();
        records.sort();
        Some(records)
    };
    let (want, have) = (sorted(want), sorted(have));
    if want == have { Ok(()) } else { Err(format!("{have:?}, expected in any order {want:?}")) }
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Both, sixteen bytes a line, with marks under what differs.
fn dump(want: &[u8], got: &[u8], wrong: &BTreeSet<usize>) -> String {
    let row = |bytes: &[u8], start: usize| -> String {
        let cells = (start..start + 16).map(|i| bytes.get(i).map_or("  ".to_owned(), |b| format!("{b:02x}")));
        let text = bytes.iter().skip(start).take(16).map(|b| match b {
            0x20..0x7f => char::from(*b),
            _ => '.',
        });
        cells.enumerate().map(|(i, c)| if i % 4 == 3 { c + "  " } else { c + " " }).collect::<String>()
            + &text.collect::<String>()
    };
    let mut lines = Vec::new();
    for start in (0..want.len().max(got.len())).step_by(16) {
        let marks: String = (start..start + 16)
            .map(|i| if wrong.contains(&i) { "^^" } else { "  " })
            .enumerate()
            .map(|(i, c)| if i % 4 == 3 { format!("{c}  ") } else { format!("{c} ") })
            .collect();
        if marks.trim().is_empty() {
            lines.push(format!("     both {start:4} {}", row(got, start)));
        } else {
            lines.push(format!(" expected {start:4} {}", row(want, start)));
            lines.push(format!("      got {start:4} {}", row(got, start)));
            lines.push(format!("               {}", marks.trim_end()));
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}
