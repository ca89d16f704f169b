//! A list of choices as a file: what a search has found, to be made again.

use serde::{Deserialize, Serialize};

use super::{Bounds, Choice, State};
use crate::observe::Violation;

/// What such files begin with.
pub const SCHEMA: &str = "quorate-choices-1";

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// [`SCHEMA`].
    pub schema: String,
    /// The planted bug, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
    /// How much may happen.
    pub bounds: Bounds,
    /// What happens, in this order.
    pub choices: Vec<Choice>,
    /// The invariant that the last choice breaks; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaks: Option<String>,
}

/// What came of making the choices of a file.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// What was broken.
    pub violation: Option<Violation>,
    /// A choice that could not be made: its number from 1, and what could.
    pub stuck: Option<(usize, Vec<Choice>)>,
}

impl Choices {
    /// Whether a file claims to be one.
    #[must_use]
    pub fn claims(text: &str) -> bool {
        serde_json::from_str(text).is_ok_and(|v: serde_json::Value| v.get("schema").is_some_and(|s| s == SCHEMA))
    }

    /// Reads a file's text. `file` is for messages only.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|e| format!("{file}: {e}"))?;
        let wrong = |what: String| Err(format!("{file}: {what}"));
        if read.schema != SCHEMA {
            return wrong(format!("schema: {:?} is not {SCHEMA:?}", read.schema));
        }
        if let Err(e) = read.bounds.check() {
            return wrong(format!("bounds.{e}"));
        }
        Ok(read)
    }

    /// The text of the file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Makes the choices; `trace` gets each line of what happens.
    pub fn replay(&self, mut trace: Option<&mut dyn FnMut(&str)>) -> Replayed {
        let mut tell = |state: &mut State| {
            if let Some(trace) = &mut trace {
                state.take_trace().iter().for_each(|line| trace(line));
            }
        };
        let mut state = match State::start(&self.bounds, self.mutant.as_deref(), true) {
            Ok(state) => state,
            Err(violation) => return Replayed { violation: Some(violation), stuck: None },
        };
        tell(&mut state);
        for (i, choice) in self.choices.iter().enumerate() {
            if !state.allows(*choice) {
                return Replayed { violation: None, stuck: Some((i + 1, state.choices())) };
            }
            let result = state.take(*choice);
            tell(&mut state);
            if let Err(violation) = result {
                return Replayed { violation: Some(violation), stuck: None };
            }
        }
        Replayed::default()
    }
}
