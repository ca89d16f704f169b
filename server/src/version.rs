//! What this server says of itself.

/// The ZooKeeper whose behaviour this is: tools compare it.
pub const ZOOKEEPER: &str = "3.9.5";
/// Our own version.
pub const QUORATE: &str = env!("CARGO_PKG_VERSION");
/// Build date of the ZooKeeper above, in its form.
const BUILT: &str = "2026-02-11 20:18 UTC";
/// The same in the form that older clients' helpers expect.
const BUILT_LEGACY: &str = "02/11/2026 20:18 UTC";

/// The line of `srvr`, `mntr` and `envi`. Client libraries match `[A-Za-z0-9.-]` before the comma.
#[must_use]
pub fn full(legacy_date: bool) -> String {
    format!("{ZOOKEEPER}-quorate-{QUORATE}, built on {}", if legacy_date { BUILT_LEGACY } else { BUILT })
}

#[cfg(test)]
mod tests {
    #[test]
    fn clients_can_read_it() {
        let full = super::full(false);
        let (version, _) = full.split_once(", built on ").unwrap();
        assert!(version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'), "{version}");
    }
}
