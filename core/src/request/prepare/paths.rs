//! Which paths may name a znode (client-protocol 5.3, 5.4).

/// Whether a znode may have this path: the rule of ZooKeeper's `PathUtils.validatePath`.
#[must_use]
pub(super) fn is_valid(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    if rest.is_empty() {
        return true;
    }
    let bytes = rest.as_bytes();
    // Of the names: where the one at hand begins.
    let mut start = 0;
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            b'/' if !is_name(&bytes[start..i]) => return false,
            b'/' => start = i + 1,
            b' '..=b'~' => {}
            0x80.. => return rest.chars().all(is_allowed) && rest.split('/').all(|name| is_name(name.as_bytes())),
            _ => return false,
        }
    }
    is_name(&bytes[start..])
}

const fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
}

/// Java looks at UTF-16 units: whatever needs a surrogate is refused with them.
const fn is_allowed(c: char) -> bool {
    !matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// Whether create and delete look at this path at all.
#[must_use]
pub(super) fn has_place(path: &str) -> bool {
    path.contains('/') && !path.contains('\0')
}

/// Whether nobody deletes this znode.
#[must_use]
pub(super) fn is_reserved(path: &str) -> bool {
    matches!(path, "/" | "/zookeeper" | "/zookeeper/quota" | "/zookeeper/config")
}

/// The path above: everything before the last slash, "/" for nothing. Only for paths with a slash.
#[must_use]
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(slash) => &path[..slash],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_reference() {
        for path in ["/", "/a", "/a b", "/...", "/.a", "/a..", "/\u{a0}", "/\u{f900}", "/\u{ffef}", "/a/b/c", "/é"] {
            assert!(is_valid(path), "{path:?}");
        }
        for path in ["", "a", "a/b", "/a/", "//", "//a", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/a\0", "/\x01"] {
            assert!(!is_valid(path), "{path:?}");
        }
        for c in ['\x1f', '\x7f', '\u{80}', '\u{9f}', '\u{e000}', '\u{f8ff}', '\u{fff0}', '\u{fffd}', '\u{ffff}', '😀']
        {
            assert!(!is_valid(&alloc::format!("/a{c}")), "{c:?}");
        }
    }

    #[test]
    fn the_path_above() {
        for (path, above) in [("/a", "/"), ("/a/b", "/a"), ("/a/", "/a"), ("/", "/"), ("//", "/"), ("a/b", "a")] {
            assert_eq!(parent(path), above);
        }
    }
}
