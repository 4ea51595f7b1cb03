"""`asyncio.sslproto`: TLS between a transport and a protocol, without a network.

Two ends are wired to each other in memory (`tls.py`): a test decides what arrives, how it is cut, and when.
"""

import _ssl
import asyncio
import contextlib
import gc
import logging
import ssl
import sys
import tracemalloc
import weakref
from asyncio import sslproto
from unittest import mock

import pytest

from tests.unit.tls import (
    CERTIFICATE,
    KIB,
    App,
    BufferedApp,
    Ends,
    client_context,
    protocol_class,
    server_context,
)


@pytest.fixture
def kind(impl):
    """The class under test."""
    return protocol_class(impl)


@pytest.fixture
def make(kind, loop):
    """Make pairs of ends that are closed when the test ends."""
    made = []

    def make(*arguments, **options):
        made.append(Ends(kind, loop, *arguments, **options))
        return made[-1]

    yield make
    for ends in made:
        for end in (ends.server, ends.client):
            end.transport._closed = True
            end.lose()
        ends.turn()


@pytest.fixture
def ends(make):
    return make()


@pytest.fixture
def shaken(ends):
    """Both ends after the handshake."""
    return ends.shake()


class TestConstruction:
    @pytest.mark.parametrize("option", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
    @pytest.mark.parametrize("value", [0, -1.5])
    def test_time_limits_must_be_positive(self, kind, loop, option, value):
        with pytest.raises(ValueError, match=f"^{option} should be a positive number, got {value}$"):
            kind(loop, App(), client_context(), None, **{option: value})

    def test_a_server_needs_a_context(self, kind, loop):
        with pytest.raises(ValueError, match="Server side SSL needs a valid SSLContext"):
            kind(loop, App(), None, None, server_side=True)

    def test_a_client_gets_the_default_context(self, kind, loop):
        tls = kind(loop, App(), None, None, False, "localhost")
        assert tls._sslcontext.check_hostname
        assert tls._sslcontext.verify_mode == ssl.CERT_REQUIRED
        tls._app_transport.close()
        nameless = kind(loop, App(), None, None)
        assert not nameless._sslcontext.check_hostname
        nameless._app_transport.close()

    @pytest.mark.yibu_only(before=(3, 14))  # stock accepted a certificate of any name
    @pytest.mark.parametrize("name", [None, ""])
    def test_a_client_that_checks_names_needs_one(self, kind, loop, name):
        if sys.version_info >= (3, 13):
            with pytest.raises(ValueError, match=r"^check_hostname requires server_hostname$"):
                kind(loop, App(), client_context(), None, False, name)
        else:
            with pytest.warns(DeprecationWarning, match="check_hostname requires server_hostname") as warned:
                kind(loop, App(), client_context(), None, False, name)._app_transport.close()
            assert len(warned) == 1

    def test_a_client_that_checks_no_name_needs_none(self, kind, loop):
        context = client_context()
        context.check_hostname = False
        kind(loop, App(), context, None)._app_transport.close()

    def test_classes(self, shaken):
        server, _ = shaken
        assert isinstance(server.tls, asyncio.BufferedProtocol)
        assert isinstance(server.tls, sslproto.SSLProtocol)
        assert isinstance(server.transport, asyncio.Transport)
        assert isinstance(server.transport, sslproto._SSLProtocolTransport)
        assert server.transport._start_tls_compatible is True
        assert server.transport._sendfile_compatible is asyncio.constants._SendfileMode.FALLBACK
        assert server.tls.max_size == len(server.tls.get_buffer(-1)) == 256 * KIB

    def test_without_the_module_ssl(self, kind, loop):
        with mock.patch.object(sslproto, "ssl", None), pytest.raises(RuntimeError, match="not available"):
            kind(loop, App(), client_context(), None)

    def test_methods_can_be_replaced_on_an_instance(self, shaken):
        server, _ = shaken
        written = []
        server.transport.write = written.append
        server.transport.write(b"seen")
        assert written == [b"seen"]


class TestHandshake:
    @pytest.mark.parametrize("step", [None, 1, 7])
    def test_however_it_is_cut(self, make, step):
        server, client = make().shake(step)
        assert server.app.events == client.app.events == ["made"]
        assert server.waiter.result() is client.waiter.result() is None

    def test_state(self, make):
        ends = make()
        tls = ends.server.tls
        assert tls._state is sslproto.SSLProtocolState.UNWRAPPED
        assert tls._app_state is sslproto.AppProtocolState.STATE_INIT
        ends.server.made()
        assert tls._state is sslproto.SSLProtocolState.DO_HANDSHAKE
        ends.client.made()
        ends.exchange()
        assert tls._state is sslproto.SSLProtocolState.WRAPPED
        assert tls._app_state is sslproto.AppProtocolState.STATE_CON_MADE

    def test_extra_info(self, shaken):
        server, client = shaken
        info = client.transport.get_extra_info
        assert info("sslcontext") is client.tls._sslcontext
        assert info("ssl_object") is client.tls._sslobj
        assert isinstance(info("ssl_object"), ssl.SSLObject)
        assert info("cipher") == client.tls._sslobj.cipher()
        assert info("compression") is None
        assert ("DNS", "localhost") in info("peercert")["subjectAltName"]
        assert server.transport.get_extra_info("peercert") is None
        assert info("wire") is client.wire
        assert info("nothing", "default") == "default"

    def test_extra_info_before_it(self, make):
        end = make().server
        assert end.transport.get_extra_info("peercert", 1) == 1
        assert end.transport.get_extra_info("sslcontext") is end.tls._sslcontext

    def test_garbage(self, make):
        ends = make()
        ends.server.made()
        ends.server.receive(b"GET / HTTP/1.0\r\n\r\n")
        error = ends.server.waiter.exception()
        assert isinstance(error, ssl.SSLError)
        assert error.reason == "HTTP_REQUEST"
        assert ends.server.wire.error is error
        assert ends.server.app.events == []

    def test_truncated(self, make):
        ends = make()
        ends.server.made()
        ends.client.made()
        ends.server.receive(ends.client.wire.take()[:100])
        assert not ends.server.waiter.done()
        ends.server.tls.eof_received()
        assert isinstance(ends.server.waiter.exception(), ConnectionResetError)
        assert isinstance(ends.server.wire.error, ConnectionResetError)

    def test_lost(self, make):
        ends = make()
        ends.server.made()
        error = OSError("gone")
        ends.server.lose(error)
        assert ends.server.waiter.exception() is error
        ends.turn()
        assert ends.server.app.events == []

    def test_cancelled_waiter(self, make):
        ends = make()
        ends.server.waiter.cancel()
        ends.client.made()
        ends.server.made()
        ends.exchange()
        assert ends.server.app.events == ["made"]

    def test_takes_too_long(self, make, run):
        ends = make(ssl_handshake_timeout=0.01)
        ends.server.made()
        with contextlib.suppress(asyncio.TimeoutError):
            run(asyncio.wait_for(forced(ends.server), 10))
        assert isinstance(ends.server.wire.error, ConnectionAbortedError)
        assert str(ends.server.wire.error) == (
            "SSL handshake is taking longer than 0.01 seconds: aborting the connection"
        )

    def test_certificate_is_refused(self, make):
        untrusting = ssl.create_default_context()
        ends = make(contexts=(server_context(), untrusting))
        ends.server.made()
        ends.client.made()
        ends.exchange()
        assert isinstance(ends.client.waiter.exception(), ssl.SSLCertVerificationError)
        assert ends.client.app.events == []
        assert ends.client.wire.calls == ["force_close"]

    def test_with_data_behind_it(self, make):
        """What the client sends with the end of its handshake arrives after connection_made()."""
        ends = make()
        ends.server.made()
        ends.client.made()
        ends.client.transport.write(b"at once")
        assert ends.client.transport.get_write_buffer_size() == 7
        ends.exchange()
        assert ends.server.app.events == ["made", "data"]
        assert ends.server.app.data == b"at once"

    def test_connection_made_fails(self, make):
        class Failing(App):
            def connection_made(self, transport):
                raise ZeroDivisionError

        ends = make(server_app=Failing())
        ends.server.made()
        ends.client.made()
        with pytest.raises(ZeroDivisionError):
            ends.exchange()

    def test_debug_log(self, make, loop, caplog):
        loop.set_debug(True)
        with caplog.at_level(logging.DEBUG, "asyncio"):
            make().shake()
        texts = [record.msg for record in caplog.records]
        assert texts.count("%r starts SSL handshake") == 2
        assert texts.count("%r: SSL handshake took %.1f ms") == 2

    def test_server_chooses_another_context_by_name(self, make):
        """What the callback for names does is done to the same connection."""
        first, second = server_context(), server_context()
        second.set_alpn_protocols(["chosen"])
        client = client_context()
        client.set_alpn_protocols(["chosen"])

        def choose(connection, name, _context):
            assert name == "localhost"
            connection.context = second

        first.sni_callback = choose
        ends = make(contexts=(first, client))
        server, client = ends.shake()
        assert client.tls._sslobj.selected_alpn_protocol() == "chosen"
        client.transport.write(b"through")
        ends.exchange()
        assert server.app.data == b"through"


async def forced(end):
    """Return when the wire has been closed by force."""
    while "force_close" not in end.wire.calls:
        await asyncio.sleep(0)


class TestData:
    @pytest.mark.parametrize("size", [1, 64, 16 * KIB, 16 * KIB + 1, 100 * KIB, 600 * KIB])
    @pytest.mark.parametrize("data_type", [bytes, bytearray, memoryview])
    def test_sizes(self, ends, size, data_type):
        server, client = ends.shake()
        message = bytes(number % 251 for number in range(size))
        client.transport.write(data_type(message))
        ends.exchange()
        assert server.app.data == message
        assert len(client.wire.written) == 0
        assert client.transport.get_write_buffer_size() == 0

    @pytest.mark.parametrize("step", [1, 5, 1000])
    def test_records_in_pieces(self, ends, step):
        server, client = ends.shake()
        messages = [bytes([number]) * (number * 37) for number in range(1, 20)]
        for message in messages:
            client.transport.write(message)
        ends.exchange(step)
        assert server.app.data == b"".join(messages)

    def test_half_a_record_stays_until_the_rest_comes(self, ends):
        server, client = ends.shake()
        client.transport.write(b"x" * 1000)
        record = client.wire.take()
        server.receive(record[:500])
        assert server.app.data == b""
        server.receive(record[500:] + record[:0])
        assert server.app.data == b"x" * 1000

    def test_several_records_are_one_piece(self, ends):
        pieces = []
        server, client = ends.shake()
        server.app.data_received = pieces.append
        for _ in range(10):
            client.transport.write(b"y" * 20_000)
        server.receive(client.wire.take()[: 200 * KIB])
        assert pieces == [b"y" * 200_000]

    def test_one_write_is_one_write_below(self, ends):
        _, client = ends.shake()
        client.transport.write(b"z" * 100 * KIB)
        assert len(client.wire.written) == 1
        client.transport.writelines([b"a", bytearray(b"b"), b"", memoryview(b"c")])
        assert len(client.wire.written) == 2
        ends.exchange()
        assert ends.server.app.data[-3:] == b"abc"

    def test_nothing(self, ends):
        _, client = ends.shake()
        client.transport.write(b"")
        client.transport.write(memoryview(b""))
        client.transport.writelines([])
        assert client.wire.written == []

    @pytest.mark.parametrize("data", ["text", 5, None, [b"x"]])
    def test_what_is_not_bytes(self, ends, data):
        _, client = ends.shake()
        text = f"^data: expecting a bytes-like instance, got {type(data).__name__}$"
        with pytest.raises(TypeError, match=text):
            client.transport.write(data)

    def test_what_cannot_be_encrypted_ends_the_connection(self, ends, reports):
        _, client = ends.shake()
        client.transport.writelines([b"good", "bad"])
        (report,) = reports
        assert report["message"] == "Fatal error on SSL protocol"
        assert isinstance(report["exception"], TypeError)
        assert report["transport"] is client.wire
        assert report["protocol"] is client.tls
        assert client.wire.error is report["exception"]

    def test_eof_cannot_be_written(self, ends):
        _, client = ends.shake()
        assert client.transport.can_write_eof() is False
        with pytest.raises(NotImplementedError):
            client.transport.write_eof()

    def test_a_broken_record(self, ends):
        server, client = ends.shake()
        client.transport.write(b"good")
        good = client.wire.take()
        client.transport.write(b"bad")
        bad = bytearray(client.wire.take())
        bad[-1] ^= 1
        server.receive(good)
        server.receive(bad)
        assert isinstance(server.wire.error, ssl.SSLError)
        assert server.wire.error.library == "SSL"
        # The second is what newer versions of OpenSSL say.
        reasons = "DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "RECORD_LAYER_FAILURE"
        assert server.wire.error.reason in reasons
        assert server.app.data == b"good"
        server.lose(server.wire.error)
        ends.turn()
        assert server.app.events == ["made", "data", ("lost", server.wire.error)]

    def test_data_received_fails(self, ends, reports):
        server, client = ends.shake()
        server.app.data_received = mock.Mock(side_effect=ZeroDivisionError)
        client.transport.write(b"x")
        ends.exchange()
        (report,) = reports
        assert report["message"] == "Fatal error on SSL protocol"
        assert isinstance(server.wire.error, ZeroDivisionError)

    def test_data_received_is_interrupted(self, ends):
        server, client = ends.shake()
        server.app.data_received = mock.Mock(side_effect=KeyboardInterrupt)
        client.transport.write(b"x")
        with pytest.raises(KeyboardInterrupt):
            ends.exchange()
        assert server.wire.error is None

    def test_answer_from_within(self, ends):
        server, client = ends.shake()
        server.app.data_received = lambda data: server.transport.write(data.upper())
        client.transport.write(b"quiet")
        ends.exchange()
        assert client.app.data == b"QUIET"

    def test_another_protocol(self, ends):
        server, client = ends.shake()
        other = App()
        other.events.append("set")
        server.transport.set_protocol(other)
        assert server.transport.get_protocol() is other
        client.transport.write(b"to the other")
        ends.exchange()
        assert (server.app.data, other.data) == (b"", b"to the other")


class TestBufferedProtocols:
    @pytest.mark.parametrize("size", [1, 100, 20 * KIB, 1024 * KIB])
    def test_any_buffer(self, make, size):
        ends = make(server_app=BufferedApp(size))
        server, client = ends.shake()
        message = bytes(number % 251 for number in range(300 if size == 1 else 50 * KIB))
        client.transport.write(message)
        ends.exchange()
        while len(server.app.data) < len(message):
            ends.turn()  # a full buffer is offered again at the next turn
        assert server.app.data == message

    def test_end(self, make):
        ends = make(server_app=BufferedApp(10))
        server, client = ends.shake()
        client.transport.close()
        ends.exchange()
        assert server.app.events == ["eof"]


class TestReadingPaused:
    def test_nothing_is_told(self, ends):
        server, client = ends.shake()
        assert server.transport.is_reading()
        server.transport.pause_reading()
        server.transport.pause_reading()
        assert not server.transport.is_reading()
        client.transport.write(b"later")
        ends.exchange()
        assert server.app.data == b""
        assert server.transport.get_read_buffer_size() > 5
        server.transport.resume_reading()
        assert server.app.data == b""
        ends.turn()
        assert server.app.data == b"later"
        assert server.transport.get_read_buffer_size() == 0

    def test_the_transport_below_is_paused_at_the_limit(self, ends):
        server, client = ends.shake()
        server.transport.set_read_buffer_limits(high=1000, low=10)
        assert server.transport.get_read_buffer_limits() == (10, 1000)
        server.transport.pause_reading()
        client.transport.write(b"x" * 900)
        ends.exchange()
        assert server.wire.calls == []
        client.transport.write(b"x" * 900)
        ends.exchange()
        assert server.wire.calls == ["pause_reading"]
        server.transport.resume_reading()
        ends.turn()
        assert server.wire.calls == ["pause_reading", "resume_reading"]
        assert server.app.data == b"x" * 1800

    def test_default_limits(self, ends):
        server, _ = ends.shake()
        assert server.transport.get_read_buffer_limits() == (64 * KIB, 256 * KIB)

    def test_the_end_comes_after_the_data(self, ends):
        server, client = ends.shake()
        server.transport.pause_reading()
        client.transport.write(b"last words")
        client.transport.close()
        ends.exchange()
        assert server.app.events == ["made"]
        server.transport.resume_reading()
        ends.turn()
        assert server.app.events == ["made", "data", "eof"]
        assert server.app.data == b"last words"

    def test_eof_below_while_paused(self, ends):
        server, client = ends.shake()
        server.transport.pause_reading()
        client.transport.write(b"unread")
        server.receive(client.wire.take())
        assert server.tls.eof_received() is True
        server.transport.resume_reading()
        ends.turn()
        assert server.app.events == ["made", "data", "eof"]


class TestWritingPaused:
    def test_the_application_is_paused_at_the_limit(self, ends):
        _, client = ends.shake()
        client.transport.set_write_buffer_limits(high=5000)
        assert client.transport.get_write_buffer_limits() == (1250, 5000)
        client.tls.pause_writing()
        client.transport.write(b"x" * 4000)
        assert client.wire.written == []
        assert client.app.events == ["made"]
        client.transport.write(b"x" * 4000)
        assert client.app.events == ["made", "pause"]
        assert client.transport._protocol_paused
        assert client.transport.get_write_buffer_size() > 8000
        client.tls.resume_writing()
        assert client.app.events == ["made", "pause", "resume"]
        assert not client.transport._protocol_paused
        assert client.transport.get_write_buffer_size() == 0
        ends.exchange()
        assert ends.server.app.data == b"x" * 8000

    def test_twice(self, ends):
        _, client = ends.shake()
        client.tls.pause_writing()
        with pytest.raises(AssertionError):
            client.tls.pause_writing()
        client.tls.resume_writing()
        with pytest.raises(AssertionError):
            client.tls.resume_writing()

    def test_default_limits(self, ends):
        _, client = ends.shake()
        assert client.transport.get_write_buffer_limits() == (128 * KIB, 512 * KIB)

    @pytest.mark.parametrize("method", ["set_write_buffer_limits", "set_read_buffer_limits"])
    def test_limits(self, ends, method):
        _, client = ends.shake()
        set_limits = getattr(client.transport, method)
        get_limits = getattr(client.transport, method.replace("set", "get"))
        set_limits(low=1000)
        assert get_limits() == (1000, 4000)
        set_limits(high=0)
        assert get_limits() == (0, 0)
        with pytest.raises(ValueError, match=r"^high \(1\) must be >= low \(2\) must be >= 0$"):
            set_limits(1, 2)
        with pytest.raises(ValueError, match=r"^high \(-4\) must be >= low \(-1\) must be >= 0$"):
            set_limits(-4)

    @pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
    def test_the_application_fails(self, ends, method, reports):
        _, client = ends.shake()
        client.transport.set_write_buffer_limits(high=10)
        setattr(client.app, method, mock.Mock(side_effect=ZeroDivisionError))
        client.tls.pause_writing()
        client.transport.write(b"x" * 100)
        client.tls.resume_writing()
        (report,) = reports
        assert report["message"] == f"protocol.{method}() failed"
        assert report["transport"] is client.transport
        assert report["protocol"] is client.tls
        assert client.wire.error is None


class TestEnd:
    def test_order(self, ends):
        server, client = ends.shake()
        client.transport.write(b"last")
        client.transport.close()
        assert client.transport.is_closing()
        ends.exchange()
        ends.turn()
        assert "close" in client.wire.calls
        assert "close" in server.wire.calls
        server.lose()
        client.lose()
        ends.turn()
        assert server.app.events == ["made", "data", "eof", ("lost", None)]
        assert client.app.events == ["made", "eof", ("lost", None)]
        assert server.transport.is_closing()
        assert server.tls._app_transport is server.tls._app_protocol is server.tls._transport is None

    def test_close_before_the_handshake(self, make):
        end = make().server
        end.transport.close()
        assert end.transport.is_closing()
        assert end.wire.calls == []

    def test_close_during_the_handshake(self, make):
        end = make().server
        end.made()
        end.transport.close()
        assert end.wire.calls == ["force_close"]
        assert end.wire.error is None

    def test_close_while_closing(self, ends):
        _, client = ends.shake()
        client.transport.close()
        client.tls._start_shutdown()
        ends.exchange()
        ends.turn()
        assert client.wire.calls.count("close") == 1
        client.transport.close()
        assert client.transport._ssl_protocol is None
        with pytest.raises(AttributeError, match="'NoneType' object has no attribute '_get_extra_info'"):
            client.transport.get_extra_info("cipher")

    def test_abort(self, ends):
        _, client = ends.shake()
        client.transport.abort()
        assert client.transport.is_closing()
        assert client.wire.calls == ["force_close"]
        assert client.wire.error is None
        client.transport.abort()

    def test_writes_after_it_are_counted(self, ends, caplog):
        _, client = ends.shake()
        client.transport.close()
        client.wire.take()
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(5):
                client.transport.write(b"x")
            assert caplog.records == []
            client.transport.write(b"x")
        assert [record.message for record in caplog.records] == ["SSL connection is closed"]
        assert client.wire.written == []

    def test_no_answer(self, make, run):
        ends = make(ssl_shutdown_timeout=0.01)
        _, client = ends.shake()
        client.transport.close()
        run(asyncio.wait_for(forced(client), 10))
        assert isinstance(client.wire.error, TimeoutError)
        assert str(client.wire.error) == "SSL shutdown timed out"

    def test_keeping_it_open_has_no_effect(self, ends, caplog):
        server, client = ends.shake()
        server.app.keep_open = True
        client.transport.close()
        with caplog.at_level(logging.WARNING, "asyncio"):
            ends.exchange()
        assert [record.message for record in caplog.records] == [
            "returning true from eof_received() has no effect when using ssl"
        ]
        ends.turn()
        assert "close" in server.wire.calls

    def test_eof_received_fails(self, ends, reports):
        server, client = ends.shake()
        server.app.eof_received = mock.Mock(side_effect=ZeroDivisionError)
        client.transport.close()
        ends.exchange()
        (report,) = reports
        assert report["message"] == "Error calling eof_received()"
        assert isinstance(server.wire.error, ZeroDivisionError)

    def test_the_peer_goes_without_a_word(self, ends):
        server, _ = ends.shake()
        assert not server.tls.eof_received()
        ends.turn()
        assert server.app.events == ["made", "eof"]
        assert "close" in server.wire.calls

    def test_data_on_the_way_when_closing(self, ends):
        """What the peer sent before it heard of the end is refused by OpenSSL, and nothing else is."""
        server, client = ends.shake()
        server.transport.write(b"crossing")
        crossing = server.wire.take()
        client.transport.close()
        client.receive(crossing)
        assert isinstance(client.wire.error, ssl.SSLError)
        assert client.wire.error.reason == "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"

    def test_an_impossible_transition(self, ends):
        server, _ = ends.shake()
        with pytest.raises(
            RuntimeError,
            match=r"^cannot switch state from SSLProtocolState.WRAPPED to SSLProtocolState.DO_HANDSHAKE$",
        ):
            server.tls.connection_made(server.wire)

    def test_unclosed(self, kind, loop):
        tls = kind(loop, App(), server_context(), None, True)
        with pytest.warns(
            ResourceWarning, match="^unclosed transport <asyncio._SSLProtocolTransport object>$"
        ):
            del tls
            gc.collect()


class TestMemory:
    def test_nothing_is_left(self, make, loop):
        ends = make()
        ends.shake()
        context = weakref.ref(ends.server.tls._sslcontext)
        app = weakref.ref(ends.server.app)
        transport = weakref.ref(ends.server.transport)
        ends.client.transport.close()
        ends.exchange()
        for end in (ends.server, ends.client):
            end.lose()
        ends.turn()
        for end in (ends.server, ends.client):
            vars(end).clear()
            end.tls = mock.Mock(_transport=None)
            end.transport = mock.Mock()
        gc.collect()
        assert (context(), app(), transport()) == (None, None, None)

    @pytest.mark.yibu_only
    def test_an_idle_connection_has_no_large_buffer(self, make):
        contexts = server_context(), client_context()
        make(contexts=contexts).shake()  # what is made once is made now
        tracemalloc.start()
        try:
            ends = make(contexts=contexts)
            ends.server.made()
            ends.client.made()
            for end, other in ((ends.client, ends.server), (ends.server, ends.client)) * 2:
                other.tls.data_received(end.wire.take())
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert ends.server.app.events == ["made"]
        assert size < 40 * KIB

    def test_a_slow_reader_bounds_what_is_kept(self, ends):
        """A program that stops at pause_writing() never has more than its limit and one write waiting."""
        _, client = ends.shake()
        client.tls.pause_writing()
        largest = 0
        while "pause" not in client.app.events:
            client.transport.write(b"x" * 10_000)
            largest = max(largest, client.transport.get_write_buffer_size())
        assert 512 * KIB <= largest < 512 * KIB + 11_000


class ObservedObject(ssl.SSLObject):
    """Somebody's own: what is read and written goes through it."""

    reads = 0
    writes = 0

    def read(self, *arguments):
        type(self).reads += 1
        return super().read(*arguments)

    def write(self, data):
        type(self).writes += 1
        return super().write(data)


class TestContexts:
    """Whatever way the object inside is driven, it does the same."""

    def echo(self, ends):
        server, client = ends.shake()
        server.app.data_received = server.transport.write
        for size in (1, 20_000):
            client.transport.write(b"x" * size)
            ends.exchange(999)
        assert client.app.data == b"x" * 20_001
        client.transport.close()
        ends.exchange()
        assert server.app.events == ["made", "eof"]

    def test_an_object_of_a_subclass(self, make):
        context = server_context()
        context.sslobject_class = ObservedObject
        self.echo(make(contexts=(context, client_context())))
        assert ObservedObject.reads > 1
        assert ObservedObject.writes > 1

    def test_errors_of_such_an_object(self, make):
        context = server_context()
        context.sslobject_class = ObservedObject
        ends = make(contexts=(context, client_context()))
        server, _ = ends.shake()
        server.receive(b"neither a record nor an end of one")
        assert isinstance(server.wire.error, ssl.SSLError)

    def test_a_log_of_keys(self, make, tmp_path):
        context = client_context()
        context.keylog_filename = str(tmp_path / "keys")
        self.echo(make(contexts=(server_context(), context)))
        assert (tmp_path / "keys").read_text().count("CLIENT_TRAFFIC_SECRET_0") == 1

    def test_messages_are_told(self, make):
        told = []
        context = server_context()
        context._msg_callback = lambda *arguments: told.append(arguments)
        self.echo(make(contexts=(context, client_context())))
        assert told

    @pytest.mark.yibu_only
    @pytest.mark.skipif(not hasattr(_ssl, "__file__"), reason="OpenSSL is hidden inside the interpreter")
    def test_ordinary_ones_cost_no_call(self, ends):
        """After the handshake, data does not pass through the Python methods of the object."""
        server, client = ends.shake()
        called = []

        def note(frame, event, _argument):
            if event == "call" and frame.f_code.co_filename == ssl.__file__:
                called.append(frame.f_code.co_name)

        sys.setprofile(note)
        try:
            client.transport.write(b"x" * 100 * KIB)
            ends.exchange(999)
        finally:
            sys.setprofile(None)
        assert called == []
        assert server.app.data == b"x" * 100 * KIB

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_versions(self, make, version):
        context = server_context()
        context.minimum_version = context.maximum_version = version
        self.echo(make(contexts=(context, client_context())))

    def test_a_client_with_a_certificate(self, make):
        server, client = server_context(), client_context()
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(CERTIFICATE)
        client.load_cert_chain(CERTIFICATE)
        ends = make(contexts=(server, client))
        self.echo(ends)
        assert ("DNS", "localhost") in ends.server.transport.get_extra_info("peercert")["subjectAltName"]

    def test_an_object_put_in_by_a_test(self, make):
        end = make().server
        inner = mock.Mock()
        inner.read.side_effect = ssl.SSLWantReadError
        inner.write.side_effect = len
        end.tls._sslobj = inner
        end.made()
        assert end.app.events == ["made"]
        end.transport.write(b"x")
        inner.write.assert_called_with(b"x")
        inner.read.side_effect = [b"read", ssl.SSLWantReadError]
        end.receive(b"anything")
        assert end.app.data == b"read"


class TestTlsInTls:
    def test_in_memory(self, kind, loop, ends):
        server, client = ends.shake()
        inner = Ends(kind, loop)
        for outer, end in ((server, inner.server), (client, inner.client)):
            outer.transport.set_protocol(end.tls)
            end.tls.connection_made(outer.transport)
        ends.exchange()
        inner.client.transport.write(b"twice wrapped" * 5000)
        ends.exchange()
        assert inner.server.app.data == b"twice wrapped" * 5000
        inner.client.transport.close()
        ends.exchange()
        ends.turn()
        ends.exchange()
        ends.turn()
        assert inner.server.app.events == ["made", "data", "eof"]
        for end in (server, client):
            end.lose()
        ends.turn()
        ends.turn()
        assert inner.server.app.events[-1] == ("lost", None)
        assert inner.client.app.events[-1] == ("lost", None)
