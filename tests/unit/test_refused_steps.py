"""Steps of asyncio's that yibu does not go through: each that is refused is in `docs/differences.md`."""

import asyncio
import os
import re
import ssl
import types
from asyncio import selector_events, sslproto, unix_events
from pathlib import Path

import pytest
import yibu
from yibu.sslproto import SSLProtocol

from tests.unit.protocols import tcp_pair

pytestmark = pytest.mark.yibu_only
PAGE = Path(__file__).parents[2] / "docs" / "differences.md"


@pytest.fixture(scope="module")
def row():
    """The names in the row about these steps: of loops, of transports, of TLS."""
    (line,) = (line for line in PAGE.read_text().splitlines() if "a private step of asyncio's" in line)
    parts = re.split(r"In (?:loops|transports|`sslproto)", line)[1:]
    return [set(re.findall(r"`(_\w+)`", part)) for part in parts]


def steps(cls):
    """The private functions of a class and of its bases, with the class that has each."""
    for base in cls.__mro__:
        if base.__module__.startswith("asyncio."):
            for name, value in vars(base).items():
                if isinstance(value, types.FunctionType) and re.match("_[^_]", name):
                    yield base, name


async def stream(loop):
    ours, peer = tcp_pair()
    with ours, peer:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        transport.abort()
        await asyncio.sleep(0)


async def datagram(loop):
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    transport.abort()
    await asyncio.sleep(0)


async def pipe(loop, writes):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as read_end, os.fdopen(writing, "wb", 0) as write_end:
        if writes:
            transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, write_end)
        else:
            transport, _ = await loop.connect_read_pipe(asyncio.Protocol, read_end)
        transport.close()
        await asyncio.sleep(0)


async def tls(loop):
    SSLProtocol(loop, asyncio.Protocol(), ssl.create_default_context(), None, server_hostname="peer")


def refused(monkeypatch, run, cls, make):
    """The names of the steps that make a transport refuse when they are replaced."""
    names = set()
    for base, name in steps(cls):
        original = vars(base)[name]
        with monkeypatch.context() as patch:
            patch.setattr(base, name, lambda *args, original=original: original(*args))
            try:
                run(make())
            except TypeError as error:
                assert f"{name}() is replaced" in str(error)
                names.add(name)
    return names


@pytest.mark.parametrize(
    "cls, make",
    [
        (selector_events._SelectorSocketTransport, stream),
        (selector_events._SelectorDatagramTransport, datagram),
        (unix_events._UnixReadPipeTransport, lambda loop: pipe(loop, writes=False)),
        (unix_events._UnixWritePipeTransport, lambda loop: pipe(loop, writes=True)),
    ],
    ids=["stream", "datagram", "read pipe", "write pipe"],
)
def test_of_transports(loop, run, monkeypatch, row, cls, make):
    found = refused(monkeypatch, run, cls, lambda: make(loop))
    assert found
    assert found <= row[1]


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_of_tls(loop, run, monkeypatch, row):
    found = refused(monkeypatch, run, sslproto.SSLProtocol, lambda: tls(loop))
    assert found
    assert found <= row[2]


def test_of_loops(row):
    found = set()
    for _, name in steps(asyncio.SelectorEventLoop):
        try:
            type("Loop", (yibu.EventLoop,), {name: lambda *args: None})().close()
        except TypeError as error:
            assert "replaces a step of asyncio's event loop" in str(error)
            found.add(name)
    assert found
    assert found <= row[0]
