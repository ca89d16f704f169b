//! `-D` settings out of `SERVER_JVMFLAGS` and `JVMFLAGS`; all other flags of a JVM are ignored and named once.

/// What a flags variable says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// `-Dname=value`, in order.
    pub properties: Vec<(String, String)>,
    /// Everything else.
    pub ignored: Vec<String>,
}

/// Splits as an unquoted shell expansion does: at blanks, quotes stay.
#[must_use]
pub fn parse(text: &str) -> Flags {
    let mut out = Flags::default();
    for word in text.split_ascii_whitespace() {
        match word.strip_prefix("-D") {
            Some(pair) if !pair.is_empty() => {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                out.properties.push((name.to_owned(), value.to_owned()));
            }
            _ => out.ignored.push(word.to_owned()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_and_the_rest() {
        let flags = parse(" -Xmx1g  -Dzookeeper.snapCount=10 -Djute.maxbuffer=4=4\n-D -Dx -XX:+UseG1GC ");
        let want = [("zookeeper.snapCount", "10"), ("jute.maxbuffer", "4=4"), ("x", "")];
        assert_eq!(flags.properties, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(flags.ignored, ["-Xmx1g", "-D", "-XX:+UseG1GC"]);
    }
}
