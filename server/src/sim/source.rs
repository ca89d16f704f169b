//! What a command works on: a seed or a scenario file, with a planted bug where one is asked for.

use std::path::Path;

use quorate_sim::RunSpec;
use quorate_sim::scenario::{self, Expect, Problem, Scenario, VERSION};

use super::args;
use super::one;

/// Reads a scenario file and plants this bug in it, beside nothing or in place of the file's own.
///
/// # Errors
/// What is wrong with the file, or why this build cannot plant the bug.
pub fn file(path: &Path, mutant: Option<&str>) -> Result<Scenario, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    read(path, &bytes, mutant).map(|(scenario, _)| scenario)
}

/// The same of what stands in the file, and its text.
///
/// # Errors
/// As [`file`].
pub fn read<'a>(path: &Path, bytes: &'a [u8], mutant: Option<&str>) -> Result<(Scenario, &'a str), String> {
    let name = path.display().to_string();
    let text = scenario::text(&name, bytes).map_err(|problem| problem.to_string())?;
    let mut scenario = Scenario::parse(&name, text).map_err(|problem| problem.to_string())?;
    if let Some(Err(e)) = scenario.spec.mutant.as_deref().map(one::can_plant) {
        return Err(Problem::at(&name, text, "build.mutant", e).to_string());
    }
    if let Some(id) = mutant {
        one::can_plant(id)?;
        scenario.spec.mutant = Some(id.to_owned());
    }
    Ok((scenario, text))
}

/// A seed, decimal or 0x…, or else the name of a scenario file.
///
/// # Errors
/// As [`file`].
pub fn seed_or_file(text: &str, mutant: Option<&str>) -> Result<Scenario, String> {
    let Ok(seed) = args::seed(text) else {
        let path = Path::new(text);
        if !path.exists() && !text.contains(['.', '/']) {
            return Err(format!("{text:?} is neither a seed (7, 0x7) nor a file"));
        }
        return file(path, mutant);
    };
    let spec: RunSpec = one::spec_of(seed, mutant)?;
    let name = mutant.map_or_else(|| format!("seed-{seed}"), |id| format!("{id}-seed-{seed}"));
    Ok(Scenario { name, note: String::new(), version: VERSION.into(), binary: 0, spec, expect: Expect::default() })
}
