//! Recorded client conversations; `tests/vectors/client/README.md` gives the format.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// A file of scripts.
#[derive(Deserialize)]
pub(crate) struct File {
    format: u32,
    profiles: BTreeMap<String, Profile>,
    scripts: Vec<Script>,
}

/// How the server is set up.
#[derive(Deserialize, Clone)]
pub(crate) struct Profile {
    cfg: BTreeMap<String, Value>,
    /// Java system properties.
    pub(crate) system_properties: BTreeMap<String, String>,
}

/// One conversation, with a server of its own.
#[derive(Deserialize, Clone)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) profile: String,
    pub(crate) steps: Vec<Step>,
}

/// One thing that is done, and what must come of it.
#[derive(Deserialize, Clone)]
pub(crate) struct Step {
    pub(crate) conn: String,
    #[serde(default)]
    pub(crate) kind: Kind,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) note: String,
    #[serde(default, with = "hex", rename = "request_hex")]
    pub(crate) request: Vec<u8>,
    #[serde(default)]
    pub(crate) subst: Vec<Mask>,
    #[serde(default, with = "hex", rename = "response_hex")]
    pub(crate) response: Vec<u8>,
    #[serde(default)]
    pub(crate) mask: Vec<Mask>,
    #[serde(default)]
    pub(crate) replies: Vec<Frame>,
    #[serde(default)]
    pub(crate) events: Vec<Notification>,
    #[serde(default)]
    pub(crate) closed: bool,
    #[serde(default)]
    pub(crate) shape: Vec<String>,
    #[serde(default)]
    pub(crate) seconds: f64,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[default]
    Request,
    Connect,
    #[serde(rename = "4lw")]
    FourLetter,
    Batch,
    Hangup,
    ObserveClose,
    Sleep,
}

/// Expected bytes.
#[derive(Deserialize, Clone)]
pub(crate) struct Frame {
    #[serde(with = "hex", rename = "hex")]
    pub(crate) bytes: Vec<u8>,
    #[serde(default)]
    pub(crate) mask: Vec<Mask>,
}

/// A frame that nobody asked for.
#[derive(Deserialize, Clone)]
pub(crate) struct Notification {
    pub(crate) conn: String,
    pub(crate) pos: Position,
    #[serde(flatten)]
    pub(crate) frame: Frame,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Position {
    Before,
    After,
}

/// Offset from the length prefix, length, kind.
#[derive(Deserialize, Clone)]
pub(crate) struct Mask(pub usize, pub usize, pub String);

/// The script `name` of `file`, with its profile.
pub(crate) fn load(file: &str, name: &str) -> (Script, Profile) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/client").join(file);
    let file: File = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(file.format, 1);
    let script = file.scripts.into_iter().find(|s| s.name == name).unwrap();
    let profile = file.profiles[&script.profile].clone();
    (script, profile)
}

impl Profile {
    /// The lines of `zoo.cfg` that it asks for.
    pub(crate) fn config_lines(&self) -> String {
        let value = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        self.cfg.iter().map(|(k, v)| format!("{k}={}\n", value(v))).collect()
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, de::Error};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
            _ => Err(D::Error::custom(format!("not hexadecimal: {text}"))),
        }
    }
}
