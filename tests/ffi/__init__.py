"""The crate of native classes, held to what it promises by its example: `crates/ffi/examples/counter.rs`."""
