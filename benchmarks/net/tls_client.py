"""The client of the TLS benchmarks: `python -m benchmarks.net.tls_client COMMAND --port N ...`.

Blocking sockets of the standard library, driven in lines as the load generator in `benchmarks/echo` is. It
need not be fast: what is measured is the server's CPU. Started by `measure.py`.
"""

import argparse
import socket
import ssl
import sys

HOST = "127.0.0.1"


def context() -> ssl.SSLContext:
    """Make a context that trusts every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(options: argparse.Namespace, count: int) -> list[ssl.SSLSocket]:
    """Open connections, each with its handshake done."""
    client = context()
    return [client.wrap_socket(socket.create_connection((HOST, options.port))) for _ in range(count)]


def receive(connection: ssl.SSLSocket, size: int) -> bytes:
    """Read exactly so much."""
    data = bytearray()
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the server has closed the connection")
        data += more
    return bytes(data)


def exchange(connections: list[ssl.SSLSocket], message: bytes, count: int) -> int:
    """Send messages on all connections and compare what comes back; return how many."""
    done = 0
    while done < count:
        for connection in connections:
            connection.sendall(message)
        for connection in connections:
            if receive(connection, len(message)) != message:
                raise ValueError("something else came back")
        done += len(connections)
    return done


def phases(options: argparse.Namespace) -> None:
    """Get ready, wait for the word, do what is measured, and wait again."""
    if options.command == "exchange":
        connections = connect(options, options.connections)
        message = bytes(number % 251 for number in range(options.size))
        exchange(connections, message, options.warmup)
        tell("ready")
        done = exchange(connections, message, options.messages)
    elif options.command == "connect":
        shake(options, options.warmup)
        tell("ready")
        done = shake(options, options.connections)
    else:
        tell("ready")
        connections = connect(options, options.connections)
        done = len(connections)
        # An answer to each: then the server has finished its part of every handshake.
        exchange(connections, b"x", done)
    tell(f"done {done}")


def shake(options: argparse.Namespace, count: int) -> int:
    """Connect, exchange one message and close, one connection after the other; return how many."""
    message = bytes(options.size)
    for _ in range(count):
        connections = connect(options, 1)
        exchange(connections, message, 1)
        connections[0].close()
    return count


def tell(line: str) -> None:
    """Say a line and wait for the answer."""
    print(line, flush=True)
    sys.stdin.readline()


def main() -> None:
    """Read the command line and run the phases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("exchange", "connect", "idle"))
    for name in ("port", "connections", "size", "depth", "messages", "warmup"):
        parser.add_argument(f"--{name}", type=int, default=0)
    phases(parser.parse_args())


if __name__ == "__main__":
    main()
