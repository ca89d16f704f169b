//! `quorate sim merge`: the reports of a campaign's shards, joined.

use std::path::Path;

use super::args::Merge;
use super::campaign::{SCHEMA, Shard, Span, Summary};
use super::{SimExit, fuzz, output, replay};

/// `quorate sim merge`.
#[must_use]
pub fn merge(options: &Merge) -> SimExit {
    if let Err(e) = output::ready(options.report.as_deref()) {
        return replay::usage(&e);
    }
    let mut parts = Vec::new();
    for file in &options.files {
        match read(file) {
            Ok(part) => parts.push((file.display().to_string(), part)),
            Err(e) => return replay::usage(&e),
        }
    }
    match join(parts) {
        Ok((mut whole, missing)) => {
            let mut exit = fuzz::conclude(&mut whole, options.json, options.report.as_deref());
            for part in &missing {
                eprintln!("error: missing: {part}");
                exit = exit.worse(SimExit::Usage);
            }
            exit
        }
        Err(e) => replay::usage(&e),
    }
}

/// A report: the summary alone, or the output of `fuzz --json`, where it is the last line.
fn read(file: &Path) -> Result<Summary, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| format!("{name}: {e}"))?;
    let (n, line) = text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
        .last()
        .ok_or_else(|| format!("{name}: empty; expected what `quorate sim fuzz --report FILE` writes"))?;
    let value: serde_json::Value = serde_json::from_str(line).map_err(|e| format!("{name}:{}: {e}", n + 1))?;
    if value["kind"] != "campaign" {
        return Err(format!(
            "{name}:{}: no summary of a campaign; expected what `quorate sim fuzz --report FILE` writes",
            n + 1
        ));
    }
    if value["schema"] != SCHEMA {
        return Err(format!(
            "{name}:{}: schema {} of another version, this one reads {SCHEMA}",
            n + 1,
            value["schema"]
        ));
    }
    serde_json::from_value(value).map_err(|e| format!("{name}:{}: {e}", n + 1))
}

/// One summary out of parts of one campaign, and what is not there.
fn join(parts: Vec<(String, Summary)>) -> Result<(Summary, Vec<String>), String> {
    let mut seen: Vec<(Span, String)> = Vec::new();
    let mut shards: Vec<(Shard, String)> = Vec::new();
    let mut whole: Option<(String, Summary)> = None;
    for (name, part) in parts {
        for span in &part.seeds {
            if let Some((other, file)) = seen.iter().find(|(s, _)| s.from < span.to && span.from < s.to) {
                return Err(format!(
                    "{name}: seeds {}..{} overlap with {}..{} of {file}",
                    span.from, span.to, other.from, other.to
                ));
            }
            seen.push((*span, name.clone()));
        }
        if let Some(shard) = part.shard {
            if let Some((_, file)) = shards.iter().find(|(s, _)| s.index == shard.index && s.of == shard.of) {
                return Err(format!("{name}: shard {}/{} is also in {file}", shard.index, shard.of));
            }
            if let Some((other, file)) = shards.iter().find(|(s, _)| s.of != shard.of) {
                return Err(format!("{name}: a shard of {}, but {file} is one of {}", shard.of, other.of));
            }
            shards.push((shard, name.clone()));
        }
        match &mut whole {
            None => whole = Some((name, part)),
            Some((first, whole)) => {
                let (a, b) = (&whole.settings, &part.settings);
                let differs = [
                    ("version", a.version != b.version),
                    ("mutant", a.mutant != b.mutant),
                    ("connections", a.connections != b.connections),
                    ("twice", a.twice != b.twice),
                    ("floors", a.floors != b.floors),
                    ("whole", a.whole != b.whole && !(shards.is_empty())),
                ];
                if let Some((field, _)) = differs.iter().find(|(_, differs)| *differs) {
                    return Err(format!("{name}: settings.{field} is not that of {first}: these are two campaigns"));
                }
                whole.join(part);
            }
        }
    }
    let Some((_, mut whole)) = whole else { return Err("nothing to merge".into()) };
    let mut missing = Vec::new();
    if let Some((any, _)) = shards.first() {
        for index in 0..any.of {
            if !shards.iter().any(|(s, _)| s.index == index) {
                missing.push(format!("shard {index}/{}", any.of));
            }
        }
        if let (Some(all), true) = (whole.settings.whole, missing.is_empty()) {
            let mut at = all.from;
            let end = Span { from: all.to, to: all.to };
            for span in whole.seeds.iter().chain([&end]) {
                if span.from > at {
                    missing.push(format!("seeds {at}..{} of a shard that ended early", span.from));
                }
                at = at.max(span.to);
            }
        }
    }
    whole.shard = None;
    Ok((whole, missing))
}

#[cfg(test)]
mod tests {
    use super::super::campaign::Settings;
    use super::*;

    fn part(index: u64, of: u64) -> (String, Summary) {
        let whole = Span { from: 0, to: 100 };
        let settings = Settings { whole: Some(whole), ..Settings::default() };
        let shard = Shard { index, of };
        let mut s = Summary::new(settings, Some(shard));
        let span = shard.part(whole);
        s.seeds = vec![span];
        (s.runs, s.pass) = (span.to - span.from, span.to - span.from);
        (format!("{index}.json"), s)
    }

    #[test]
    fn all_shards_are_the_campaign() {
        let (whole, missing) = join(vec![part(2, 3), part(0, 3), part(1, 3)]).unwrap();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!((whole.runs, whole.seeds), (100, vec![Span { from: 0, to: 100 }]));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (_, missing) = join(vec![part(2, 4), part(0, 4)]).unwrap();
        assert_eq!(missing, ["shard 1/4", "shard 3/4"]);
        let mut short = part(1, 2);
        short.1.seeds[0].to = 90;
        let (_, missing) = join(vec![short, part(0, 2)]).unwrap();
        assert_eq!(missing, ["seeds 90..100 of a shard that ended early"]);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let twice = join(vec![part(0, 2), part(0, 2)]).unwrap_err();
        assert!(twice.contains("overlap"), "{twice}");
        let mut other = part(1, 2);
        other.1.settings.version = "9.9.9".into();
        let refused = join(vec![part(0, 2), other]).unwrap_err();
        assert!(refused.contains("settings.version"), "{refused}");
        let refused = join(vec![part(0, 2), part(2, 3)]).unwrap_err();
        assert!(refused.contains("a shard of 3"), "{refused}");
    }
}
