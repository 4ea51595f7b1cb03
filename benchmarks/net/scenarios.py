"""What the network benchmarks do: a style of server, a load, and what is read from the server."""

from dataclasses import dataclass, replace

from benchmarks.net.protocols import FRAME_BYTES

MICROSECONDS_A_MESSAGE = "us of server CPU/message"
MICROSECONDS_A_CONNECTION = "us of server CPU/connection"
BYTES_A_CONNECTION = "bytes of server RAM/connection"
MICROSECONDS_OF_DELAY = "us from when a message is due until it is back"


@dataclass(frozen=True)
class Scenario:
    """One line of the table."""

    topic: str
    name: str
    unit: str
    #: A style of `protocols.listen`.
    style: str
    #: A command of the load generator.
    command: str
    #: The option of that command which says how much is measured, and how much that is.
    counted: str
    count: int
    #: The options that stay as they are.
    options: tuple[tuple[str, int], ...]
    #: How much of the work comes first and is not counted, for commands that warm up.
    warm_up: int | None = None
    #: Whether both ends run on one core. With one message under way at a time, the ends of two cores would
    #: only wake each other from sleep, and that is all one would measure.
    one_core: bool = False
    #: Whether a rival may do better with another malloc configuration.
    tries_malloc: bool = False
    #: Whether it only runs when `--only` asks for its topic: there are many of its kind.
    on_demand: bool = False

    @property
    def key(self) -> str:
        """How the scenario is called on the command line."""
        return f"{self.topic}/{self.name}"

    @property
    def has_streams(self) -> bool:
        """Whether the server uses names of the namespace, not only the loop's."""
        return self.style.endswith("streams")

    @property
    def is_tls(self) -> bool:
        """Whether the ends speak TLS: then the client is `tls_client.py`, and there is no floor."""
        return self.style.startswith("tls ")

    @property
    def is_unix(self) -> bool:
        """Whether the connections are Unix sockets: then there is no floor either."""
        return self.style.startswith("unix ")

    @property
    def has_floor(self) -> bool:
        """Whether the bare server can take the place of a contender."""
        return not (self.is_tls or self.is_unix or self.style.startswith("busy "))

    @property
    def floor(self) -> str:
        """The command of the server that is the floor."""
        return "serve-datagrams" if self.style.startswith("datagrams") else "serve"

    def arguments(self, port: int, count: int) -> list[str]:
        """The load generator's command line."""
        numbers = {"unix" if self.is_unix else "port": port, self.counted: count, **dict(self.options)}
        if self.warm_up is not None:
            numbers["warmup"] = self.warm_up
        return [
            self.command,
            *(text for name, number in numbers.items() for text in (f"--{name}", str(number))),
        ]


def _echo(name: str, style: str, connections: int, size: int, depth: int, count: int) -> Scenario:
    return Scenario(
        topic="echo",
        name=name,
        unit=MICROSECONDS_A_MESSAGE,
        style=style,
        command="exchange",
        counted="messages",
        count=count,
        options=(("connections", connections), ("size", size), ("depth", depth)),
        warm_up=max(count // 10, 2 * connections * depth),
        one_core=connections == 1,
        tries_malloc=True,
    )


def _datagrams(
    name: str, connections: int, size: int, depth: int, count: int, style: str = "datagrams"
) -> Scenario:
    return replace(
        _echo(name, style, connections, size, depth, count),
        topic="datagrams",
        command="datagrams",
        one_core=connections * depth == 1,
    )


def _connect(name: str, style: str) -> Scenario:
    return Scenario(
        topic="connections",
        name=name,
        unit=MICROSECONDS_A_CONNECTION,
        style=style,
        command="connect",
        counted="connections",
        count=1_500,
        options=(("size", 64),),
        warm_up=150,
        one_core=True,
    )


def _idle(name: str, style: str) -> Scenario:
    return Scenario(
        topic="memory",
        name=name,
        unit=BYTES_A_CONNECTION,
        style=style,
        command="idle",
        counted="connections",
        count=10_000,
        options=(),
    )


def _tls_echo(name: str, size: int, count: int, style: str = "protocol") -> Scenario:
    return replace(
        _echo(name, f"tls {style}", TLS_CONNECTIONS, size, 1, count),
        topic="tls",
    )


def _latency(percentile: int) -> Scenario:
    """Two rows: each measures anew, because a row has one figure."""
    echo = _echo(f"10 x 64 B at half load, p{percentile}", "protocol", 10, 64, 1, 20_000)
    return replace(
        echo,
        topic="latency",
        unit=MICROSECONDS_OF_DELAY,
        command="latency",
        options=(*echo.options, ("percentile", percentile)),
    )


def _beside_a_thread(percentile: int) -> Scenario:
    """The same where another thread of the server never waits: each turn has to get the interpreter back."""
    name = f"10 x 64 B beside a thread that computes, p{percentile}"
    return replace(_latency(percentile), name=name, style="busy protocol", count=1_000, warm_up=100)


def _sizes() -> list[Scenario]:
    """Every number of connections with every size of messages, in every style."""
    messages = {64: ("64 B", 20_000), KIB: ("1 KiB", 20_000), 16 * KIB: ("16 KiB", 8_000)}
    messages[100 * KIB] = ("100 KiB", 2_000)
    return [
        replace(
            _echo(
                f"{style}, {connections} x {name}", style, connections, size, 1, max(count, 2 * connections)
            ),
            topic="sizes",
            on_demand=True,
        )
        for style in ("protocol", "buffered", "streams", "unix protocol", "unix streams", "tls protocol")
        for connections in (1, 10, 100, 1_000)
        for size, (name, count) in messages.items()
    ]


TLS_CONNECTIONS = 8
KIB = 1024

SCENARIOS = [
    _echo("protocol 100 x 64 B", "protocol", 100, 64, 1, 40_000),
    _echo("protocol 10 x 64 B", "protocol", 10, 64, 1, 30_000),
    _echo("protocol 1 x 64 B", "protocol", 1, 64, 1, 10_000),
    _echo("protocol 1 x 1 KiB", "protocol", 1, KIB, 1, 10_000),
    _echo("protocol 10 x 4 KiB", "protocol", 10, 4 * KIB, 1, 30_000),
    _echo("protocol 10 x 16 KiB", "protocol", 10, 16 * KIB, 1, 20_000),
    _echo("protocol 10 x 100 KiB", "protocol", 10, 100 * KIB, 1, 5_000),
    _echo("protocol 10 x 64 B, 16 deep", "protocol", 10, FRAME_BYTES, 16, 200_000),
    _echo("protocol 10 x 64 B, 16 deep, a write each", "framed", 10, FRAME_BYTES, 16, 100_000),
    _echo("buffered protocol 10 x 4 KiB", "buffered", 10, 4 * KIB, 1, 30_000),
    _echo("streams 100 x 64 B", "streams", 100, 64, 1, 20_000),
    _echo("streams 10 x 64 B", "streams", 10, 64, 1, 20_000),
    _echo("streams 10 x 16 KiB", "streams", 10, 16 * KIB, 1, 10_000),
    _echo("streams 10 x 100 KiB", "streams", 10, 100 * KIB, 1, 5_000),
    replace(_echo("readline 100 x 1 KiB", "line streams", 100, KIB, 1, 20_000), command="lines"),
    replace(_echo("readuntil 100 x 512 B", "request streams", 100, 512, 1, 20_000), command="requests"),
    _datagrams("1 x 64 B", 1, 64, 1, 20_000),
    _datagrams("1 x 1 KiB", 1, KIB, 1, 20_000),
    _datagrams("10 x 64 B", 10, 64, 1, 40_000),
    _datagrams("10 x 1 KiB", 10, KIB, 1, 40_000),
    _datagrams("10 x 64 B, 8 deep", 10, 64, 8, 80_000),
    _datagrams("connected, 1 x 64 B", 1, 64, 1, 20_000, "datagrams connected"),
    _datagrams("connected, 1 x 64 B, 16 deep", 1, 64, 16, 80_000, "datagrams connected"),
    _datagrams("connected, 1 x 1 KiB, 16 deep", 1, KIB, 16, 80_000, "datagrams connected"),
    _echo("sock_recv + sock_sendall 100 x 64 B", "sockets", 100, 64, 1, 20_000),
    _echo("sock_recv + sock_sendall 1 x 64 B", "sockets", 1, 64, 1, 10_000),
    _echo("sock_recv + sock_sendall 10 x 16 KiB", "sockets", 10, 16 * KIB, 1, 10_000),
    _connect("protocol connect + echo + close", "protocol"),
    _connect("streams connect + echo + close", "streams"),
    _latency(50),
    _latency(99),
    _beside_a_thread(50),
    _beside_a_thread(99),
    _idle("idle connections, protocol", "protocol"),
    _idle("idle connections, streams", "streams"),
    _tls_echo("protocol 8 x 64 B", 64, 20_000),
    _tls_echo("protocol 8 x 1 KiB", KIB, 20_000),
    _tls_echo("protocol 8 x 16 KiB", 16 * KIB, 8_000),
    _tls_echo("protocol 8 x 64 KiB", 64 * KIB, 3_000),
    _tls_echo("streams 8 x 1 KiB", KIB, 20_000, "streams"),
    replace(_connect("protocol connect + echo + close", "tls protocol"), topic="tls"),
    replace(_idle("idle connections, protocol", "tls protocol"), topic="tls", count=1_000),
    *_sizes(),
]
