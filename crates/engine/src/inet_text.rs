//! Internet addresses as text, as the C library's `inet_ntop` writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address as `inet_ntop` writes it.
pub fn of(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) => ipv6_text(v6),
        IpAddr::V4(v4) => ipv4_text(v4),
    }
}

/// By hand: each datagram of a new sender has an address to be written, and the formatting machinery takes
/// longer than everything else about it.
fn ipv4_text(address: Ipv4Addr) -> String {
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        for (least, digit) in [(100, octet / 100), (10, octet / 10 % 10), (0, octet % 10)] {
            if octet >= least {
                text.push(char::from(b'0' + digit));
            }
        }
    }
    text
}

fn ipv6_text(address: Ipv6Addr) -> String {
    match address.segments() {
        // The one form that Rust writes otherwise: an IPv4-compatible address ("::1.2.3.4").
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = address.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_c_library() {
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "255.10.9.100",
            "::",
            "::1",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "fe80::1:0:0:2",
        ] {
            assert_eq!(text.parse().map(of).as_deref(), Ok(text));
        }
    }
}
