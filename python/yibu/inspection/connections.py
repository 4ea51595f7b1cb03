"""The sockets that the transports of native loops have, with their peers and bytes.

Nothing is counted for this while the program runs: the kernel knows how many bytes a TCP connection has
moved. Called by `observed.py`, in a thread beside the loop's.
"""

import socket
from collections.abc import Callable
from typing import Any

from yibu import _yibu
from yibu.inspection import endpoints
from yibu.inspection.parts import ConnectionDescription


def take(breathe: Callable[[], None]) -> tuple[ConnectionDescription, ...]:
    """All of them, by loop and descriptor."""
    found = []
    for loop, _thread, _look in _yibu._native_loops():
        transports = _yibu._loop_transports(loop)
        transports.reverse()
        while transports:
            breathe()
            descriptor, transport = transports.pop()
            try:
                described = _described(id(loop), descriptor, transport)
            except Exception:  # a class of the program's own may raise anything
                continue
            if described is not None:
                found.append(described)
    return tuple(found)


def _described(loop: int, descriptor: int, transport: Any) -> ConnectionDescription | None:
    if transport.is_closing():
        return None  # its descriptor may be another one's by now
    facts = _yibu._socket_facts(descriptor)
    if facts is None:
        return None
    family, is_stream, local, peer, received, sent = facts
    return ConnectionDescription(
        loop=loop,
        descriptor=descriptor,
        kind=_kind(family, is_stream),
        peer=endpoints.of_address(peer),
        local=endpoints.of_address(local),
        protocol=_protocol(transport),
        received=received,
        sent=sent,
        unsent=transport.get_write_buffer_size(),
        high_water=transport.get_write_buffer_limits()[1],
        reading=bool(transport.is_reading()) if is_stream else True,
    )


def _kind(family: int, is_stream: bool) -> str:
    if family == socket.AF_UNIX:
        return "Unix" if is_stream else "datagrams"
    return "TCP" if is_stream else "UDP"


def _protocol(transport: Any) -> str:
    """The class of what the data goes to."""
    protocol = transport.get_protocol()
    within = getattr(protocol, "_app_protocol", None)
    if within is not None and isinstance(protocol, _yibu.SSLProtocol):
        return f"TLS, {type(within).__name__}"
    return type(protocol).__name__
