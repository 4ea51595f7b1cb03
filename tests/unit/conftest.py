"""Fixtures of the unit tests: connected sockets, a transport on one of them, and a world to misuse."""

import contextlib

import pytest

from tests.unit.misuse import World
from tests.unit.protocols import Recorder, tcp_pair


@pytest.fixture
def pair():
    """Two connected TCP sockets: ours for the loop, and the blocking peer."""
    ours, peer = tcp_pair()
    yield ours, peer
    ours.close()
    peer.close()


@pytest.fixture
def connect(loop, pair):
    """Put a transport and a protocol on our socket; return them with the peer."""
    ours, peer = pair

    async def connect(factory=Recorder):
        transport, protocol = await loop.create_connection(factory, sock=ours)
        return transport, protocol, peer

    yield connect


@pytest.fixture
def world(impl, loop, make_loop):
    with contextlib.ExitStack() as stack:
        yield World(impl, loop, make_loop, stack)
