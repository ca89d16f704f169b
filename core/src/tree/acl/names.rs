//! Names of the schemes x509 and sasl: what Java's `X500Principal` and ZooKeeper's `KerberosName` take for a name.

use alloc::vec::Vec;

/// A Kerberos principal: `user`, `user@REALM`, `service/host@REALM`. Without an @ anything is a name.
pub(super) fn is_kerberos(text: &str) -> bool {
    let Some((name, realm)) = text.split_once('@') else { return true };
    !realm.contains(['/', '@']) && name.matches('/').count() <= 1
}

/// An X.500 distinguished name in the forms of RFC 2253 and RFC 1779; the empty one too.
pub(super) fn is_x500(text: &str) -> bool {
    text.is_empty() || split(text, &[',', ';']).is_some_and(|rdns| rdns.into_iter().all(is_rdn))
}

/// `attribute=value`, several with a plus between them.
fn is_rdn(text: &str) -> bool {
    split(text, &['+'])
        .is_some_and(|parts| parts.into_iter().all(|part| part.split_once('=').is_some_and(is_attribute)))
}

/// Attributes that Java knows by name.
const KEYWORDS: &[&str] = &[
    "CN",
    "C",
    "L",
    "S",
    "ST",
    "O",
    "OU",
    "T",
    "IP",
    "STREET",
    "DC",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAIL",
    "EMAILADDRESS",
    "UID",
    "SERIALNUMBER",
];

fn is_attribute((keyword, value): (&str, &str)) -> bool {
    let keyword = keyword.trim_matches([' ', '\n']);
    let is_known = KEYWORDS.iter().any(|k| k.eq_ignore_ascii_case(keyword));
    (is_known || is_oid(keyword)) && is_value(value.trim_start_matches([' ', '\n']))
}

/// `1.2.3` or `OID.1.2.3`, the first number at most 2.
fn is_oid(text: &str) -> bool {
    let prefixed = text.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("OID."));
    let numbers = if prefixed { &text[4..] } else { text };
    let mut parts = numbers.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    matches!(parts.next(), Some("0" | "1" | "2")) && parts.clone().next().is_some() && parts.all(is_number)
}

/// A quoted string, `#` and hexadecimal bytes, or text in which the special characters are escaped.
fn is_value(text: &str) -> bool {
    if let Some(hex) = text.strip_prefix('#') {
        let hex = hex.trim_end_matches([' ', '\n']);
        return !hex.is_empty() && hex.len().is_multiple_of(2) && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let (inner, special): (&str, &[char]) = match text.strip_prefix('"') {
        Some(rest) => match rest.trim_end_matches([' ', '\n']).strip_suffix('"') {
            Some(inner) => (inner, &['"']),
            None => return false,
        },
        None => (text, &['+', '<', '>', ';', '"', ',']),
    };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let fine = match c {
            '\\' => match chars.next() {
                Some(c) if c.is_ascii_hexdigit() => chars.next().is_some_and(|c| c.is_ascii_hexdigit()),
                Some(c) => ",=\n+<>#;\\\" ".contains(c),
                None => false,
            },
            c => !special.contains(&c),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// The pieces between separators that are neither escaped nor quoted; `None`: a quotation without an end.
fn split<'a>(text: &'a str, separators: &[char]) -> Option<Vec<&'a str>> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if !quoted && !escaped && separators.contains(&c) {
            pieces.push(&text[start..at]);
            start = at + 1;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    pieces.push(&text[start..]);
    if quoted { None } else { Some(pieces) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguished_names() {
        for text in [
            "",
            "CN=a",
            "cn=a,O=b",
            "CN=a; O=b",
            "CN = a , OU= b c ",
            "CN=",
            "CN=a+UID=7,C=de",
            "1.2.840=x",
            "OID.2.5.4.3=x",
            "CN=\"a,b\"",
            "CN=a\\,b",
            "CN=a\\2Cb",
            "CN=#0403",
            "CN=Jürgen",
            "EMAILADDRESS=a@b.c,DC=org",
            "CN=a=b",
            "CN=\"a\\\"b\",O=c",
        ] {
            assert!(is_x500(text), "{text:?}");
        }
        for text in [
            "a",
            "=a",
            "CN",
            "XX=a",
            "CN=a,",
            ",CN=a",
            "CN=a,,O=b",
            "CN=\"a",
            "CN=a\"b\"",
            "CN=a\\",
            "CN=a\\z",
            "CN=<a>",
            "CN=#0",
            "CN=#zz",
            "3.1=x",
            "1=x",
            "1..2=x",
            "CN=a+",
            "user:password",
        ] {
            assert!(!is_x500(text), "{text:?}");
        }
    }

    #[test]
    fn principals() {
        for text in ["", "u", "a/b/c", "user@REALM", "service/host@REALM", "@", "/@", "user@"] {
            assert!(is_kerberos(text), "{text:?}");
        }
        for text in ["a@b@c", "a/b/c@R", "a@R/x"] {
            assert!(!is_kerberos(text), "{text:?}");
        }
    }
}
