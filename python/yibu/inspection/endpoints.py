"""What to call sockets, connections, servers and functions. Called by `waits.py`; nothing here raises."""

import contextvars
from typing import Any


def of_socket(sock: Any) -> str:
    """The peer of a socket, or else its own name, or its number."""
    for ask in ("getpeername", "getsockname"):
        try:
            name = getattr(sock, ask)()
        except (OSError, AttributeError, ValueError):
            continue
        if name and name != ("0.0.0.0", 0):
            return _shown(name)
    try:
        return f"descriptor {sock.fileno()}"
    except (OSError, AttributeError, ValueError):
        return "a socket"


def of_transport(transport: Any) -> str:
    """The peer of a connection, or the pipe."""
    if transport is None:
        return "a stream that nothing feeds"
    for key in ("peername", "sockname"):
        name = _info(transport, key)
        if name:
            return _shown(name)
    pipe = _info(transport, "pipe")
    if pipe is not None:
        return f"a pipe ({getattr(pipe, 'name', pipe)})"
    return "a connection"


def _info(transport: Any, key: str) -> Any:
    try:
        return transport.get_extra_info(key)
    except Exception:  # a transport of the program's own may raise anything
        return None


def of_address(name: Any) -> str:
    """An address as people write it; empty for a socket without one."""
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{host}:{name[1]}"
    return _shown(name) if name else ""


def _shown(name: Any) -> str:
    """An address as the socket module has it, without the parts of IPv6 that are mostly zero."""
    if isinstance(name, tuple) and len(name) == 4 and name[2:] == (0, 0):
        name = name[:2]
    return str(name) if isinstance(name, tuple) else repr(name)


def unsent(transport: Any) -> str:
    """How much a connection still has to send."""
    try:
        size = transport.get_write_buffer_size()
    except Exception:  # as above
        return ""
    return f", {size:,} bytes unsent"


def of_server(server: Any) -> str:
    """The addresses at which a server listens."""
    try:
        return " ".join(of_socket(sock) for sock in server.sockets) or "a closed server"
    except Exception:  # a server of the program's own
        return "a server"


def function_name(function: Any) -> str:
    """The qualified name of a function, also behind `functools.partial` and `Context.run`."""
    for _ in range(10):
        inner = getattr(function, "func", None)
        if inner is None:
            break
        in_context = isinstance(getattr(inner, "__self__", None), contextvars.Context)
        function = function.args[0] if in_context and function.args else inner
    return str(getattr(function, "__qualname__", None) or type(function).__name__)
