"""A program may look at the ciphertext of a connection: `_incoming`, `_outgoing`, `ssl_object`."""

import gc
import ssl

import pytest

from tests.unit.tls import KIB, Ends, protocol_class


@pytest.fixture
def ends(impl, loop):
    """A pair of ends after the handshake, whose tickets were read."""
    ends = Ends(protocol_class(impl), loop)
    ends.shake()
    yield ends
    let_go(ends)


def let_go(ends):
    """Leave nothing of a connection but what somebody else keeps."""
    for end in (ends.server, ends.client):
        if end.transport is not None:
            end.transport._closed = True
            end.lose()
            end.tls = end.transport = None
    ends.turn()


def look(end):
    """Have the objects whose memory the connection uses, as a program may."""
    return end.tls._incoming, end.tls._outgoing


@pytest.mark.parametrize("size", [64, 16 * KIB, 100 * KIB])
@pytest.mark.parametrize("looks", [(), (0,), (1,), (0, 1)])
def test_looking_between_the_parts_of_a_record(ends, size, looks):
    server, client = ends.server, ends.client
    data = bytes(number % 251 for number in range(size))
    client.transport.write(data)
    ciphertext = client.wire.take()
    middle = len(ciphertext) // 2
    for part, piece in enumerate((ciphertext[:middle], ciphertext[middle:])):
        server.receive(piece)
        if part in looks:
            assert [memory.pending for memory in look(server)] == [0, 0]
    assert server.app.data == data
    server.transport.write(data)
    ends.exchange()
    assert client.app.data == data


def test_what_came_while_reading_was_paused(ends):
    server, client = ends.server, ends.client
    server.transport.pause_reading()
    for _ in range(3):
        client.transport.write(b"waits" * 1000)
        ciphertext = client.wire.take()
        before = server.tls._get_read_buffer_size()
        server.receive(ciphertext)
        assert server.tls._get_read_buffer_size() == before + len(ciphertext)
    assert server.tls._incoming.pending == server.tls._get_read_buffer_size() == 3 * len(ciphertext)
    server.receive(b"")
    server.transport.resume_reading()
    ends.turn()
    assert server.app.data == b"waits" * 3000


def test_what_was_not_sent(ends):
    server, client = ends.server, ends.client
    client.tls.pause_writing()
    client.transport.write(b"one")
    client.transport.write(b"two")
    size = client.transport.get_write_buffer_size()
    assert size > 6
    assert client.tls._outgoing.pending == client.tls._get_write_buffer_size() == size
    client.transport.write(b"three")
    client.tls.resume_writing()
    ends.exchange()
    assert server.app.data == b"onetwothree"


def test_a_program_that_uses_the_object(ends):
    server, client = ends.server, ends.client
    assert client.transport.get_extra_info("ssl_object").write(b"direct, ") == 8
    client.transport.write(b"then not")
    server.transport.pause_reading()
    server.receive(client.wire.take())
    at_server = server.transport.get_extra_info("ssl_object")
    assert at_server.read(3) == b"dir"
    assert at_server.pending() == 5
    server.transport.resume_reading()
    ends.turn()
    assert server.app.data == b"ect, then not"


def test_the_object_outlives_the_connection(ends):
    server, client = ends.server, ends.client
    objects = []
    for end in (server, client):
        end.transport.pause_reading()
        objects.append(end.transport.get_extra_info("ssl_object"))
    client.transport.write(b"late")
    server.receive(client.wire.take())
    let_go(ends)
    gc.collect()
    at_server, at_client = objects
    assert at_server.read() == b"late"
    with pytest.raises(ssl.SSLWantReadError):
        at_server.read()
    assert at_client.write(b"x" * 100_000) > 0
    assert at_client.version() == at_server.version()


def test_a_write_that_is_larger_than_any_buffer(ends):
    data = b"0123456789" * 300_000
    ends.client.transport.write(data)
    ends.client.transport.write(b"end")
    ends.exchange()
    assert ends.server.app.data == data + b"end"
