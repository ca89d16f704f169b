//! Rules about paths (client-protocol 5.3), over UTF-16 units as Java sees them.

/// Parent and last component; `None` for the root and for what has no slash.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let i = path.rfind('/')?;
    if path.len() == 1 {
        return None;
    }
    Some((if i == 0 { "/" } else { &path[..i] }, &path[i + 1..]))
}

/// The parent's path; `None` for the root.
#[must_use]
pub fn parent_of(path: &str) -> Option<&str> {
    split(path).map(|(parent, _)| parent)
}

/// Whether a znode may have this path.
#[must_use]
pub fn valid_path(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    let Some(rest) = path.strip_prefix('/') else { return false };
    if rest.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return false;
    }
    !path.encode_utf16().any(|u| matches!(u, 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        for good in ["/", "/a", "/a b/...", "/.a", "/a..", "/\u{a0}", "/\u{f900}"] {
            assert!(valid_path(good), "{good}");
        }
        for bad in ["", "a", "/a/", "//", "/a//b", "/.", "/a/..", "/\u{1}", "/\u{7f}", "/\u{1f600}", "/\u{fff0}"] {
            assert!(!valid_path(bad), "{bad}");
        }
        assert_eq!(parent_of("/a"), Some("/"));
        assert_eq!(parent_of("/a/b"), Some("/a"));
        assert_eq!(parent_of("/"), None);
    }
}
