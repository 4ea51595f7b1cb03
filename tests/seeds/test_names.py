"""Row "names": getaddrinfo and getnameinfo."""

import socket

import pytest


def test_getaddrinfo(aio):
    async def main():
        loop = aio.get_running_loop()
        numeric = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        named = await loop.getaddrinfo("localhost", "http", family=socket.AF_INET, type=socket.SOCK_STREAM)
        return numeric, named

    numeric, named = aio.run(main())
    assert numeric == [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 80))]
    assert named[0][4] == ("127.0.0.1", 80)


def test_getnameinfo(aio):
    async def main():
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        return await aio.get_running_loop().getnameinfo(("127.0.0.1", 8080), flags)

    assert aio.run(main()) == ("127.0.0.1", "8080")


def test_errors(aio):
    async def main():
        with pytest.raises(socket.gaierror):
            await aio.get_running_loop().getaddrinfo("no-such-host.invalid", 80)

    aio.run(main())
