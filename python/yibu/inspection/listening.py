"""Where a page may be served: `HOST:PORT` taken apart, and refused unless only this machine reaches it.

Called by `options.py`, `inspecting.py` and `command.py`.
"""

import ipaddress
import socket

_THIS_MACHINE = "127.0.0.1"


class NotLocal(ValueError):
    """Others could reach the address, and nobody said that they may."""


def parse(address: str) -> tuple[str, int]:
    """The host and the port of `127.0.0.1:9000`, `[::1]:9000`, `:9000` or `9000`."""
    if not isinstance(address, str):
        raise TypeError(f"an address is a str such as '127.0.0.1:9000', not {address!r}")
    host, _colon, port = address.rpartition(":")
    host = host.strip("[]") or _THIS_MACHINE
    if not port.isdigit() or int(port) > 65535 or (":" in host and not address.startswith("[")):
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host, int(port)


def check(host: str, remote: bool) -> None:
    """NotLocal for a host that other machines reach, unless they may."""
    if not remote and not is_local(host):
        raise NotLocal(
            f"{host} can be reached by other machines, and the page is not encrypted: it is served only to "
            f"this machine, at {_THIS_MACHINE}, unless --inspect-remote, YIBU_INSPECT_REMOTE=1 or "
            "inspect(remote=True) says otherwise"
        )


def is_local(host: str) -> bool:
    """Whether every address of a host is one of the loopback interface."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"{host!r} is not the name of a host: {error}") from None
    return all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)
