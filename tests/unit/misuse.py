"""What the tests of misuse are made of: a world of things to misuse, and cases of one misuse each."""

import asyncio
import functools
import operator
import pathlib
import socket

import pytest


async def coroutine_function():
    """A coroutine function, where something else was asked for."""


class World:
    """What the cases are made of: an implementation, its loop, another loop, and sockets."""

    def __init__(self, impl, loop, make_loop, stack):
        self.impl = impl
        self.loop = loop
        self.other = make_loop()
        self.future = loop.create_future()
        self.coroutine = coroutine_function()
        stack.callback(self.coroutine.close)
        self.stream = stack.enter_context(socket.socket())
        self.stream.setblocking(False)
        self.datagram = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        self.datagram.setblocking(False)
        self.closed = socket.socket()
        self.closed.setblocking(False)
        self.closed.close()
        self.text_file = stack.enter_context(pathlib.Path(__file__).open(encoding="utf-8"))  # noqa: SIM115
        self.file = stack.enter_context(pathlib.Path(__file__).open("rb"))  # noqa: SIM115


def cases(*rows):
    """Parametrise by rows of (name, action, exception, text); a text may show parts of the world."""
    return pytest.mark.parametrize(
        ("action", "error", "text"), [row[1:] for row in rows], ids=[row[0] for row in rows]
    )


def check(world, action, error, text):
    """Do `action`, and what it gives when that is awaitable, and compare the exception."""
    with pytest.raises(error) as caught:
        result = action(world)
        if asyncio.iscoroutine(result):
            world.loop.run_until_complete(result)
    assert type(caught.value) is error
    if text is not None:
        assert str(caught.value) == text.format(world=world)


def call(method, *arguments, **keywords):
    """Return an action that calls a method of the loop; functions of the world are called for their value."""

    def action(world):
        given = [value(world) if callable(value) and is_lazy(value) else value for value in arguments]
        named = {key: value(world) if is_lazy(value) else value for key, value in keywords.items()}
        return getattr(world.loop, method)(*given, **named)

    return action


def is_lazy(value):
    return isinstance(value, operator.attrgetter)


lazy = operator.attrgetter
create_protocol = functools.partial(asyncio.Protocol)
