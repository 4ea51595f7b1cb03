"""The load of the measured servers: `python -m benchmarks.ecosystem.generator PORT GREETING REQUEST`.

Greeting and request are in hex. There are some connections, each with one request under way: the request goes
out on all of them, then the answers are read, which are all of the size of the first one.
"""

import socket
import sys

CONNECTIONS = 16
#: Bytes of a mask in a WebSocket frame of a client.
MASK = 4


class Connection:
    """One connection."""

    def __init__(self, port: int, greeting: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if greeting:
            self.socket.sendall(greeting)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += self.socket.recv(65536)

    def read(self, size: int) -> None:
        """Take an answer of that size."""
        while size > 0:
            size -= len(self.socket.recv(65536)) or sys.exit("the server has hung up")
        if size < 0:
            sys.exit("an answer of another size")


def answer_size(port: int, greeting: bytes, request: bytes) -> int:
    """The size of an answer: to a frame comes the frame without its mask, to a request what its head says."""
    if greeting:
        return len(request) - MASK
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536) or sys.exit("the server has hung up")
    head = answer.partition(b"\r\n\r\n")[0]
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return len(head) + 4 + int(headers[b"content-length"])


def main() -> None:
    """Obey lines like `go 1000`."""
    port, greeting, request = int(sys.argv[1]), *map(bytes.fromhex, sys.argv[2:])
    size = answer_size(port, greeting, request)
    connections = [Connection(port, greeting) for _ in range(CONNECTIONS)]
    print("ready", flush=True)
    for line in sys.stdin:
        rounds = -(-int(line.removeprefix("go ")) // CONNECTIONS)
        for _ in range(rounds):
            for connection in connections:
                connection.socket.sendall(request)
            for connection in connections:
                connection.read(size)
        print(f"done {rounds * CONNECTIONS}", flush=True)


if __name__ == "__main__":
    main()
