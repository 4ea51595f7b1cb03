"""A server of the few commands of MongoDB's wire protocol that the tests of its clients send.

Debian has no MongoDB, and no server that speaks its protocol. This one shows that PyMongo and motor connect,
keep pools, page through cursors and cancel on yibu; it shows nothing of a database.
"""

import contextlib
import socketserver
import struct
import threading
import time
from collections.abc import Iterator

HEADER = struct.Struct("<iiii")
OP_QUERY, OP_REPLY, OP_MSG = 2004, 1, 2013
SHUTDOWN = threading.Event()


class Connection(socketserver.StreamRequestHandler):
    """One client."""

    def handle(self) -> None:
        """Answer requests until the client leaves."""
        from bson import BSON, decode, decode_all

        with contextlib.suppress(ConnectionError):
            while header := self.rfile.read(HEADER.size):
                length, request, _, operation = HEADER.unpack(header)
                body = self.rfile.read(length - HEADER.size)
                if operation == OP_QUERY:  # the first request of a connection may be of the old kind
                    name_end = body.index(b"\0", 4)
                    answer = self.answer(decode_all(body[name_end + 9 :])[0])
                    answer_body = struct.pack("<iqii", 8, 0, 0, 1) + BSON.encode(answer)
                    kind = OP_REPLY
                else:
                    size = int.from_bytes(body[5:9], "little")
                    command = decode(body[5 : 5 + size])
                    rest = body[5 + size :]
                    if rest:  # a sequence of documents: its size, its name, and the documents
                        name_end = rest.index(b"\0", 5)
                        command[rest[5:name_end].decode()] = decode_all(rest[name_end + 1 :])
                    answer_body = b"\0\0\0\0\0" + BSON.encode(self.answer(command))
                    kind = OP_MSG
                self.wfile.write(HEADER.pack(HEADER.size + len(answer_body), 0, request, kind) + answer_body)

    def answer(self, command: dict) -> dict:
        """Do one command."""
        name = next(iter(command))
        method = getattr(self, f"do_{name.lower()}", None)
        if method is None:
            return {"ok": 0, "errmsg": f"no such command: {name}", "code": 59}
        return {"ok": 1, **method(command)}

    def do_hello(self, _command: dict) -> dict:
        """Introduce the server."""
        limits = {
            "maxBsonObjectSize": 1 << 24,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
        }
        versions = {"minWireVersion": 0, "maxWireVersion": 21}
        return {"isWritablePrimary": True, "ismaster": True, "helloOk": True, **limits, **versions}

    do_ismaster = do_hello

    def do_ping(self, _command: dict) -> dict:
        """Say that the server is there."""
        return {}

    do_endsessions = do_killcursors = do_ping

    def do_sleep(self, command: dict) -> dict:
        """Answer late."""
        SHUTDOWN.wait(command["sleep"])
        return {}

    def do_insert(self, command: dict) -> dict:
        """Keep documents."""
        self.server.collections.setdefault(command["insert"], []).extend(command["documents"])
        return {"n": len(command["documents"])}

    def do_find(self, command: dict) -> dict:
        """Find documents by their number, or page through all."""
        documents = self.server.collections.get(command["find"], [])
        wanted = command.get("filter", {})
        found = [each for each in documents if wanted.items() <= each.items()]
        return self.page(command["find"], found, command.get("batchSize", 101), "firstBatch")

    def do_getmore(self, command: dict) -> dict:
        """The next page."""
        found = self.server.cursors.pop(command["getMore"])
        return self.page(command["collection"], found, command.get("batchSize", 101), "nextBatch")

    def page(self, collection: str, found: list[dict], size: int, key: str) -> dict:
        """Some documents, and the number of a cursor if there are more."""
        cursor = 0
        if len(found) > size:
            cursor = time.monotonic_ns()
            self.server.cursors[cursor] = found[size:]
        return {"cursor": {"id": cursor, "ns": f"test.{collection}", key: found[:size]}}


class Server(socketserver.ThreadingTCPServer):
    """All clients, each with a thread."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.collections: dict[str, list[dict]] = {}
        self.cursors: dict[int, list[dict]] = {}


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Serve in threads of this process; the address."""
    SHUTDOWN.clear()
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"mongodb://127.0.0.1:{server.server_address[1]}/?directConnection=true"
        finally:
            SHUTDOWN.set()
            server.shutdown()
            thread.join()
