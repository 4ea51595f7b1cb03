"""`loop.getaddrinfo` of numeric addresses: the same answers as `socket.getaddrinfo`, and who is asked."""

import _socket
import itertools
import socket
import subprocess
import sys
import textwrap

import pytest

HOSTS = [
    "127.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "2001:DB8::1",
    "::ffff:1.2.3.4",
    "::1.2.3.4",
    "1:2:3:4:5:6:7::",
    "127.1",
    "01.2.3.4",
    b"127.0.0.1",
]
PORTS = [0, 80, 65535, 65536, -1, None, "80", b"80", True]
KINDS = [0, socket.SOCK_STREAM, 2, socket.SOCK_RAW, socket.SOCK_STREAM | socket.SOCK_NONBLOCK]
PROTOCOLS = [0, socket.IPPROTO_TCP, 17]
FAMILIES = [0, socket.AF_INET, 10]


def described(answer):
    """The answer with the types of everything in it: numbers of families are enumerations."""
    return [(info, [type(part) for part in info], [type(part) for part in info[4]]) for info in answer]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("flags", [0, socket.AI_PASSIVE, socket.AI_CANONNAME])
def test_answers(loop, run, host, flags):
    async def main():
        for port, family, kind, protocol in itertools.product(PORTS, FAMILIES, KINDS, PROTOCOLS):
            question = (host, port, family, kind, protocol, flags)
            try:
                expected = described(socket.getaddrinfo(*question))
            except (OSError, OverflowError) as error:
                with pytest.raises(type(error)) as raised:
                    await loop.getaddrinfo(host, port, family=family, type=kind, proto=protocol, flags=flags)
                assert raised.value.args == error.args, question
                continue
            answer = await loop.getaddrinfo(host, port, family=family, type=kind, proto=protocol, flags=flags)
            assert described(answer) == expected, question

    run(main())


def test_the_function_in_c_is_replaced(loop, run, monkeypatch):
    asked, original = [], _socket.getaddrinfo

    def getaddrinfo(*question):
        asked.append(question)
        return original(*question)

    async def ask():
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    run(ask())
    monkeypatch.setattr(_socket, "getaddrinfo", getaddrinfo)
    run(ask())
    assert asked == [("127.0.0.1", 80, 0, socket.SOCK_STREAM, 0, 0)]
    monkeypatch.undo()
    run(ask())
    assert len(asked) == 1


AUDITED = """
    import asyncio, importlib, socket, sys

    impl = importlib.import_module(sys.argv[1])
    events = []

    def number(part):
        return part if isinstance(part, str) else int(part)

    async def main():
        loop = asyncio.get_running_loop()
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        sys.addaudithook(lambda *event: event[0] == "socket.getaddrinfo" and events.append(event[1]))
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    impl.run(main())
    [event] = events
    print(*map(number, event))
"""


def test_audit_event(impl):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(AUDITED), impl.__name__]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.split() == ["127.0.0.1", "80", "0", "1", "0"]
