"""Benchmarks over loopback sockets: what a message, a connection or an idle connection costs the server.

The server is a process of the contender's own on one core (`server.py`, `protocols.py`), the client is the
Rust program in `benchmarks/echo` on another (`scenarios.py` says what it does). `measure.py` reads the
server's CPU clock or memory from outside while the client waits between its phases.
"""
