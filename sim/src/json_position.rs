//! Where in a JSON text the value at a path stands, so that an error about its meaning can name line and column.

/// One step of a path into a JSON value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A key of an object.
    Key(String),
    /// An index of an array.
    Index(usize),
}

/// Line and column, both from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in bytes.
    pub column: usize,
}

/// A path as `a.b[2].c`, split; what is no index is a key.
#[must_use]
pub fn steps(path: &str) -> Vec<Step> {
    let mut out = Vec::new();
    for part in path.split('.').filter(|p| !p.is_empty()) {
        let mut pieces = part.split('[');
        if let Some(key) = pieces.next().filter(|k| !k.is_empty()) {
            out.push(Step::Key(key.to_string()));
        }
        out.extend(pieces.filter_map(|p| p.trim_end_matches(']').parse().ok().map(Step::Index)));
    }
    out
}

/// Where the value at this path begins; the innermost value that exists when the path leads nowhere. `text` is valid JSON.
#[must_use]
pub fn locate(text: &str, path: &str) -> Position {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    scan.blank();
    for step in steps(path) {
        let here = scan.at;
        if !scan.enter(&step) {
            scan.at = here;
            break;
        }
    }
    position(text, scan.at)
}

/// Line and column of this byte.
#[must_use]
pub fn position(text: &str, byte: usize) -> Position {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.len() - before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1) + 1;
    Position { line, column }
}

/// The field that holds this place, as `a.b[2].c`: for errors that come with a position only. `text` need not be valid.
#[must_use]
pub fn field_at(text: &str, line: usize, column: usize) -> String {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = (start + column).min(text.len());
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    let mut open: Vec<Step> = Vec::new();
    let mut key = true;
    loop {
        scan.blank();
        if scan.at >= end {
            break;
        }
        match scan.peek() {
            b'{' => {
                open.push(Step::Key(String::new()));
                key = true;
                scan.at += 1;
            }
            b'[' => {
                open.push(Step::Index(0));
                key = false;
                scan.at += 1;
            }
            b'}' | b']' => {
                scan.at += 1;
                if scan.at < end {
                    open.pop();
                }
            }
            b'"' => {
                let text = scan.string();
                if let (Some(Step::Key(k)), true) = (open.last_mut(), key) {
                    *k = text;
                    key = false;
                }
            }
            b',' => {
                scan.at += 1;
                match open.last_mut() {
                    Some(Step::Index(i)) if scan.at < end => *i += 1,
                    Some(Step::Key(_)) => key = true,
                    _ => {}
                }
            }
            _ => scan.at += 1,
        }
    }
    let mut out = String::new();
    for step in open {
        match step {
            Step::Key(k) if out.is_empty() || k.is_empty() => out.push_str(&k),
            Step::Key(k) => out = format!("{out}.{k}"),
            Step::Index(i) => out = format!("{out}[{i}]"),
        }
    }
    out
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }
    fn blank(&mut self) {
        while self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
    }
    fn string(&mut self) -> String {
        let start = self.at + 1;
        self.at += 1;
        while self.at < self.bytes.len() && self.peek() != b'"' {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        let text = String::from_utf8_lossy(self.bytes.get(start..self.at).unwrap_or_default()).into_owned();
        self.at += 1;
        text
    }
    /// Over one value, whatever it is.
    fn skip(&mut self) {
        let mut depth = 0_usize;
        loop {
            self.blank();
            match self.peek() {
                0 => return,
                b'"' => drop(self.string()),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                b',' | b':' => self.at += 1,
                _ => {
                    while !matches!(self.peek(), 0 | b',' | b'}' | b']') && !self.peek().is_ascii_whitespace() {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return;
            }
        }
    }
    /// Into the value of this key or index; false if there is none.
    fn enter(&mut self, step: &Step) -> bool {
        let open = if matches!(step, Step::Key(_)) { b'{' } else { b'[' };
        if self.peek() != open {
            return false;
        }
        self.at += 1;
        let mut i = 0;
        loop {
            self.blank();
            if matches!(self.peek(), 0 | b'}' | b']') {
                return false;
            }
            let found = match step {
                Step::Key(key) => {
                    let found = self.string() == *key;
                    self.blank();
                    self.at += 1;
                    self.blank();
                    found
                }
                Step::Index(n) => i == *n,
            };
            if found {
                return true;
            }
            self.skip();
            self.blank();
            if self.peek() == b',' {
                self.at += 1;
            }
            i += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let text = "{\n  \"a\": [1, {\"b\\\"\": \"}\"}, [2]],\n  \"c\": {\"d\": null,\n    \"e\": -3}\n}";
        let at = |path: &str| {
            let p = locate(text, path);
            (p.line, p.column)
        };
        assert_eq!(at(""), (1, 1));
        assert_eq!(at("a"), (2, 8));
        assert_eq!(at("a[2][0]"), (2, 27));
        assert_eq!(at("c.e"), (4, 10));
        assert_eq!(at("c.f"), (3, 8), "the object that lacks it");
        assert_eq!(at("a[9].x"), (2, 8));
    }
}
