//! The syntax of Java's `.properties` files, as `zoo.cfg` uses it.
//!
//! Differences to Java: bytes that are valid UTF-8 are read as such (Java reads Latin-1), and a byte order mark is
//! skipped and reported (Java makes it part of the first key).

use super::problem::Problem;

/// One `key = value`, in the order of the file, duplicates included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Trimmed.
    pub key: String,
    /// Trimmed.
    pub value: String,
    /// Line on which the key stands, from 1.
    pub line: usize,
}

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Properties {
    /// In the order of the file.
    pub entries: Vec<Entry>,
    /// Whether the file began with a byte order mark.
    pub byte_order_mark: bool,
}

/// Reads a file's bytes; `file` is its name in messages. Every malformed escape is reported.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Properties, Vec<Problem>> {
    let text = decode(bytes);
    let (text, byte_order_mark) = match text.strip_prefix('\u{feff}') {
        Some(rest) => (rest, true),
        None => (text.as_str(), false),
    };
    let mut out = Properties { entries: Vec::new(), byte_order_mark };
    let mut problems = Vec::new();
    let mut lines = natural_lines(text).enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = String::from(line);
        while continues(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        match split(&logical) {
            Ok((key, value)) => out.entries.push(Entry { key, value, line: at + 1 }),
            Err(what) => problems.push(Problem::new(what).at(file, at + 1)),
        }
    }
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines ended by LF, CR or CR LF.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let ending = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + ending..]);
        Some(&text[..end])
    })
}

/// Whether the line ends with an odd number of backslashes.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

fn split(line: &str) -> Result<(String, String), String> {
    let mut escaped = false;
    let mut key_end = line.len();
    for (i, c) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '=' || c == ':' || is_blank(c) {
            key_end = i;
            break;
        }
    }
    let rest = line[key_end..].trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank);
    Ok((unescape(&line[..key_end])?.trim().to_owned(), unescape(rest)?.trim().to_owned()))
}

fn unescape(text: &str) -> Result<String, String> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    // \u escapes are UTF-16 units: pairs of surrogates arrive one after the other.
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            flush(&mut units, &mut out);
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit = if digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    u16::from_str_radix(&digits, 16).ok()
                } else {
                    None
                };
                units.push(
                    unit.ok_or_else(|| format!("malformed \\u escape \"\\u{digits}\": expected four hex digits"))?,
                );
            }
            Some(other) => {
                flush(&mut units, &mut out);
                out.push(match other {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\u{c}',
                    other => other,
                });
            }
            None => {}
        }
    }
    flush(&mut units, &mut out);
    Ok(out)
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    if !units.is_empty() {
        out.extend(char::decode_utf16(units.drain(..)).map(|r| r.unwrap_or(char::REPLACEMENT_CHARACTER)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, usize)> {
        parse("f", text.as_bytes()).unwrap().entries.into_iter().map(|e| (e.key, e.value, e.line)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{all:?}");
        let (key, value, _) = all.remove(0);
        (key, value)
    }

    #[test]
    fn separators_comments_and_blanks() {
        let text = "# c\n! c\n\n  a=1\nb : 2\r\nc 3\rd\t=\t4 \ne\nf==x\n g = a=b:c\n";
        let want = [
            ("a", "1", 4),
            ("b", "2", 5),
            ("c", "3", 6),
            ("d", "4", 7),
            ("e", "", 8),
            ("f", "=x", 9),
            ("g", "a=b:c", 10),
        ];
        let got = pairs(text);
        assert_eq!(got.iter().map(|(k, v, l)| (k.as_str(), v.as_str(), *l)).collect::<Vec<_>>(), want);
    }

    #[test]
    fn continuation_lines() {
        assert_eq!(one("a=1,\\\n   2,\\\r\n 3"), ("a".into(), "1,2,3".into()));
        assert_eq!(one("a=1\\"), ("a".into(), "1".into()));
        // An even number of backslashes ends the line.
        assert_eq!(pairs("a=x\\\\\nb=y").len(), 2);
        // A comment is never continued.
        assert_eq!(one("# a \\\nb=1"), ("b".into(), "1".into()));
        // The next line keeps its number.
        assert_eq!(pairs("a=\\\n1\nb=2")[1].2, 3);
    }

    #[test]
    fn escapes() {
        assert_eq!(one(r"a\=b\ c=\ttab\\x"), ("a=b c".into(), "tab\\x".into()));
        assert_eq!(one(r"a=\u0041\u00e9"), ("a".into(), "Aé".into()));
        assert_eq!(one(r"a=\ud83d\ude00!"), ("a".into(), "😀!".into()));
        assert_eq!(one(r"a=\ud83d"), ("a".into(), "\u{fffd}".into()));
        assert_eq!(one(r"a=C\:\\data"), ("a".into(), r"C:\data".into()));
        let problems = parse("zoo.cfg", b"a=1\nb=\\u12g4\n").unwrap_err();
        assert_eq!(problems[0].to_string(), "zoo.cfg:2: malformed \\u escape \"\\u12g4\": expected four hex digits");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_latin1() {
        let entries = parse("f", b"a=\xe9").unwrap().entries;
        assert_eq!(entries[0].value, "é");
    }

    #[test]
    fn byte_order_mark_is_skipped_and_reported() {
        let got = parse("f", "\u{feff}a=1".as_bytes()).unwrap();
        assert!(got.byte_order_mark);
        assert_eq!(got.entries[0].key, "a");
    }

    #[test]
    fn any_bytes() {
        fn prop(bytes: Vec<u8>) -> bool {
            let _ = parse("f", &bytes);
            true
        }
        quickcheck::quickcheck(prop as fn(Vec<u8>) -> bool);
        fn awkward(picks: Vec<u8>) -> bool {
            let alphabet = b"\\u=: \t\n\r#!0aF\xc3\xa9";
            let bytes: Vec<u8> = picks.iter().map(|p| alphabet[usize::from(*p) % alphabet.len()]).collect();
            let _ = parse("f", &bytes);
            true
        }
        quickcheck::quickcheck(awkward as fn(Vec<u8>) -> bool);
    }
}
