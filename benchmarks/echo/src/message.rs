//! What the echo load sends: bytes of any kind, lines, or requests with a head and a body.
//!
//! Every server sends back what it was sent; what differs is how it has to cut the stream. Made by `main.rs` for
//! `exchange.rs`.

/// Bytes of a request's body; `benchmarks/net/protocols.py` reads as many.
const BODY_BYTES: usize = 64;

/// A kind of message.
#[derive(Clone, Copy)]
pub enum Message {
    Bytes,
    /// Ends with its only line feed.
    Line,
    /// A head that ends with an empty line, and a body.
    Request,
}

impl Message {
    /// One batch as it goes over the wire: `depth` messages of `size` bytes.
    pub fn batch(self, size: usize, depth: usize) -> Box<[u8]> {
        match self {
            Self::Bytes => (0..size * depth).map(|index| (index % 251) as u8).collect(),
            Self::Line => line(size).repeat(depth).into(),
            Self::Request => request(size).repeat(depth).into(),
        }
    }
}

fn line(size: usize) -> Vec<u8> {
    let mut line = vec![b'x'; size.saturating_sub(1)];
    line.push(b'\n');
    line
}

fn request(size: usize) -> Vec<u8> {
    let mut request = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: {BODY_BYTES}\r\nCookie: "
    )
    .into_bytes();
    request.resize(size.saturating_sub(BODY_BYTES + 4).max(request.len()), b'c');
    request.extend_from_slice(b"\r\n\r\n");
    request.resize(request.len() + BODY_BYTES, b'b');
    request
}
