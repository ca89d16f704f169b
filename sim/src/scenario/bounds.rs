//! How large numbers of a file may be: beyond that a run would take all time or memory, or its clock would overflow.

use serde_json::Value;

/// Field and what is wrong with it.
type Wrong = (String, String);

/// A week and a half, µs.
const LONG_US: i64 = 1_000_000_000_000;
/// Ticks of a run.
const TICKS: i64 = 10_000_000;
/// Bytes in memory.
const BYTES: i64 = 1 << 30;

/// A definition of `scenarios/schema.json`, where it stands in a file, and the largest amount of each number. Of lists and maps it is that of
/// their numbers.
pub type Bound = (&'static str, &'static [&'static str], &'static [(&'static str, i64)]);

/// All of them.
pub const BOUNDS: &[Bound] = &[
    (
        "Topology",
        &["topology"],
        &[("voters", 10_000), ("observers", 10_000), ("clients", 10_000), ("attachable", 254), ("weights", 1000)],
    ),
    ("InitialDisk", &["topology.initial.*"], &[("acc", 2_000_000_000), ("cur", 2_000_000_000)]),
    (
        "Timing",
        &["timing"],
        &[
            ("tick_ms", 60_000),
            ("initLimit", 100_000),
            ("syncLimit", 100_000),
            ("session_ms", 1_000_000_000),
            ("fault_ticks", TICKS),
            ("max_ticks", TICKS),
            ("snap_count", 1_000_000_000),
            ("window", 1_000_000_000),
            ("epoch_len", u32::MAX as i64 - 1),
            ("never_used_ticks", TICKS),
        ],
    ),
    (
        "Dist",
        &["network.delay", "network.links[].delay", "disk.write", "disk.fsync"],
        &[("us", LONG_US), ("min_us", LONG_US), ("max_us", LONG_US), ("mean_us", LONG_US)],
    ),
    ("DiskSpec", &["disk"], &[("sector", 1 << 20)]),
    (
        "Limits",
        &["limits"],
        &[
            ("log_size", BYTES),
            ("prealloc", 64 << 20),
            ("purge_ticks", TICKS),
            ("retain", 1_000_000),
            ("chunk", BYTES),
            ("snap_chunk", BYTES),
            ("max_snap_syncs", 1_000_000),
            ("max_diff_syncs", 1_000_000),
            ("diff_log_permille", 1_000_000_000),
            ("window_bytes", BYTES),
            ("learner_queue", BYTES),
            ("client_output", BYTES),
            ("outstanding", 1_000_000),
            ("max_connections", 1_000_000),
            ("connections_of_address", 1_000_000),
            ("requests", 1_000_000),
            ("request_wait_ms", 1_000_000),
            ("connect_tokens", 1_000_000),
            ("connect_fill_ms", 1_000_000),
            ("connect_freeze_ms", 1_000_000),
        ],
    ),
    ("Generator", &["faults.generate[]"], &[("rate_per_h", 10_000_000), ("hold_ticks", TICKS)]),
    (
        "Explicit",
        &["faults.explicit[]"],
        &[("id", 1_000_000_000), ("hold_ms", 1_000_000_000_000), ("value", 1_000_000_000_000)],
    ),
    (
        "Generate",
        &["workload.generate"],
        &[
            ("mix", 1_000_000),
            ("paths", 100_000),
            ("rate", 1_000_000),
            ("ops", 100_000_000),
            ("data_max", 1 << 20),
            ("pipeline", 10_000),
            ("min_commits", 1_000_000_000),
            ("hasty", 1000),
            ("lingering", 1000),
        ],
    ),
];

/// The first number of this file that is out of all proportion.
pub(super) fn check(file: &Value) -> Result<(), Wrong> {
    for (_, places, keys) in BOUNDS {
        for place in *places {
            let parts: Vec<&str> = place.split('.').collect();
            each(file, &parts, String::new(), &mut |object, path| {
                keys.iter().try_for_each(|(key, most)| match object.get(*key) {
                    Some(value) => within(value, *most, format!("{path}.{key}")),
                    None => Ok(()),
                })
            })?;
        }
    }
    Ok(())
}

type Visit<'a> = &'a mut dyn FnMut(&Value, &str) -> Result<(), Wrong>;

/// Everything at these places: `x[]` is each of a list, `*` each of a map.
fn each(value: &Value, parts: &[&str], path: String, visit: Visit<'_>) -> Result<(), Wrong> {
    let Some((part, rest)) = parts.split_first() else { return visit(value, &path) };
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if *part == "*" {
        let entries = value.as_object().into_iter().flatten();
        return entries.map(|(key, value)| (below(key), value)).try_for_each(|(p, v)| each(v, rest, p, visit));
    }
    let key = part.trim_end_matches("[]");
    let Some(inner) = value.get(key) else { return Ok(()) };
    if key.len() == part.len() {
        return each(inner, rest, below(key), visit);
    }
    let entries = inner.as_array().into_iter().flatten().enumerate();
    entries.map(|(i, v)| (format!("{}[{i}]", below(key)), v)).try_for_each(|(p, v)| each(v, rest, p, visit))
}

fn within(value: &Value, most: i64, field: String) -> Result<(), Wrong> {
    match value {
        Value::Array(list) => {
            list.iter().enumerate().try_for_each(|(i, value)| within(value, most, format!("{field}[{i}]")))
        }
        Value::Object(map) => map.iter().try_for_each(|(key, value)| within(value, most, format!("{field}.{key}"))),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (None, Some(_)) => Err((field, format!("{n} is more than {most}"))),
            (Some(amount), _) if amount > most => Err((field, format!("{n} is more than {most}"))),
            (Some(amount), _) if amount < -most => Err((field, format!("{n} is less than -{most}"))),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}
