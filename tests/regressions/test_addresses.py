"""`loop.getaddrinfo` and `loop.getnameinfo` answer what the socket module answers, from a thread or not."""

import socket

import pytest

HOSTS = ("127.0.0.1", "::1", "::", "0.0.0.0", "::ffff:1.2.3.4", b"127.0.0.1", "1.2.3", "01.2.3.4", "", None)
PORTS = (80, "80", "070", "", b"80", None, -1, 70_000, "99999", True, 1.5)
OPTIONS = (
    {},
    {"type": socket.SOCK_STREAM},
    {"family": socket.AF_INET},
    {"family": socket.AF_INET6, "type": socket.SOCK_DGRAM},
    {"proto": socket.IPPROTO_UDP},
    {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_UDP},
    {"flags": socket.AI_PASSIVE},
    {"flags": socket.AI_CANONNAME},
    {"flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV},
)
NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


def outcome(function, *args, **keywords):
    try:
        return function(*args, **keywords)
    except Exception as error:
        return type(error), str(error)


async def outcome_of(coroutine):
    try:
        return await coroutine
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_getaddrinfo(loop, run, host):
    async def compare():
        for port in PORTS:
            for options in OPTIONS:
                expected = outcome(socket.getaddrinfo, host, port, **options)
                assert await outcome_of(loop.getaddrinfo(host, port, **options)) == expected, (port, options)

    run(compare())


@pytest.mark.parametrize(
    ("address", "flags"),
    [
        (("127.0.0.1", 80), NUMERIC),
        (("::1", 80, 0, 0), NUMERIC),
        (("localhost", 80), NUMERIC),
        (("127.0.0.1",), NUMERIC),
        (("127.0.0.1", 80), socket.NI_NUMERICHOST),
        (("127.0.0.1", 80), 0),
        (3, NUMERIC),
    ],
)
def test_getnameinfo(loop, run, address, flags):
    expected = outcome(socket.getnameinfo, address, flags)
    assert run(outcome_of(loop.getnameinfo(address, flags))) == expected


@pytest.mark.yibu_only
def test_numeric_addresses_need_no_executor(loop, run):
    """They are answered after the executor was shut down, too."""

    async def ask():
        await loop.shutdown_default_executor()
        return await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    assert run(ask()) == socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)


def test_a_replaced_getaddrinfo_is_asked(loop, run, monkeypatch):
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **keywords: answer)
    assert run(loop.getaddrinfo("127.0.0.1", 80)) == answer
