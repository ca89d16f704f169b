//! The scheme ip: addresses and networks, as ZooKeeper's IPAuthenticationProvider reads them.

use core::net::Ipv6Addr;

/// Address bytes: 4 or 16 of them.
fn address(text: &str) -> Option<([u8; 16], u32)> {
    let mut bytes = [0; 16];
    if text.contains(':') {
        // Groups of hexadecimal digits only: no dotted quad at the end.
        return text.parse::<Ipv6Addr>().ok().filter(|_| !text.contains('.')).map(|v6| (v6.octets(), 128));
    }
    let mut parts = text.split('.');
    for byte in &mut bytes[..4] {
        let part = parts.next().filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))?;
        *byte = part.parse().ok()?;
    }
    if parts.next().is_some() { None } else { Some((bytes, 32)) }
}

/// Address and number of leading bits that count.
fn network(text: &str) -> Option<([u8; 16], u32, u32)> {
    let (host, bits) = match text.split_once('/') {
        Some((host, bits)) => (host, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let (bytes, len) = address(host)?;
    let bits = bits.unwrap_or(len);
    if bits <= len { Some((bytes, len, bits)) } else { None }
}

pub(super) fn is_ip(text: &str) -> bool {
    network(text).is_some()
}

pub(super) fn ip_matches(peer: &str, named: &str) -> bool {
    let (Some((peer, peer_len)), Some((net, len, bits))) = (address(peer), network(named)) else { return false };
    let prefix = |bytes: [u8; 16]| u128::from_be_bytes(bytes).checked_shr(128 - bits).unwrap_or(0);
    peer_len == len && prefix(peer) == prefix(net)
}
