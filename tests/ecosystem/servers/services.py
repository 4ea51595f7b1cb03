"""The servers: what Debian calls them, how each is started, and the address that its clients are given.

Called by the fixtures of `conftest.py`, one server for all tests that need it.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.ecosystem.servers.service import Place, find, free_port, place, talks

#: The database's own user, who may connect from this machine without a password.
DATABASE_USER = "tester"


@dataclass(frozen=True)
class Service:
    """One kind of server."""

    #: Debian's packages.
    packages: str
    start: Callable[[Place], None]
    #: Tells from a port whether the server takes requests.
    is_ready: Callable[[int], bool]
    #: The address for clients; `{port}` and `{folder}` are filled in.
    address: str

    @contextmanager
    def running(self) -> Iterator[str]:
        """Start the server; the address of it."""
        with place() as server:
            self.start(server)
            server.wait_until(self.is_ready)
            yield self.address.format(port=server.port, folder=server.folder)


def _postgresql(server: Place) -> None:
    data = server.folder / "data"
    server.call(
        find("initdb"), "-D", data, "-U", DATABASE_USER, "--auth=trust", "--no-sync", "--no-instructions"
    )
    server.start(
        *(find("postgres"), "-D", data, "-p", str(server.port), "-k", server.folder),
        *("-h", "127.0.0.1", "-c", "fsync=off"),
        stop_with=signal.SIGINT,  # does not wait for its clients
    )


def _mariadb(server: Place) -> None:
    data = server.folder / "data"
    server.call(
        *(find("mariadb-install-db", "mysql_install_db"), "--no-defaults", f"--datadir={data}"),
        *("--auth-root-authentication-method=normal", "--skip-test-db"),
    )
    (server.folder / "init.sql").write_text(
        "CREATE DATABASE test;\n"  # one statement a line
        f"CREATE USER {DATABASE_USER}@'%' IDENTIFIED BY '';\n"
        f"GRANT ALL ON test.* TO {DATABASE_USER}@'%';\n"
    )
    server.start(
        *(find("mariadbd", "mysqld"), "--no-defaults", f"--datadir={data}", f"--port={server.port}"),
        *("--bind-address=127.0.0.1", f"--socket={server.folder}/socket", "--skip-name-resolve"),
        *(f"--init-file={server.folder}/init.sql", f"--pid-file={server.folder}/pid"),
    )


def _redis(server: Place) -> None:
    server.start(
        *(find("redis-server", "valkey-server"), "--port", str(server.port), "--bind", "127.0.0.1"),
        *("--save", "", "--appendonly", "no"),
    )


def _rabbitmq(server: Place) -> None:
    """The mapper of Erlang's node names would stay behind as a daemon: it is started here, and ends here."""
    program = find("/usr/lib/rabbitmq/bin/rabbitmq-server")
    names = str(free_port())
    (server.folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{server.port}\nlog.console = true\nlog.file = false\n"
    )
    (server.folder / "plugins").touch()
    server.environment |= {
        "ERL_EPMD_PORT": names,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": str(server.folder / "no-environment"),
        "RABBITMQ_CONFIG_FILE": str(server.folder / "rabbitmq.conf"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(server.folder / "plugins"),
        "RABBITMQ_LOG_BASE": str(server.folder / "logs"),
        "RABBITMQ_MNESIA_BASE": str(server.folder / "data"),
        "RABBITMQ_NODENAME": "yibu@localhost",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    server.start(find("epmd"), "-port", names, "-address", "127.0.0.1")
    server.start(program)


def _mosquitto(server: Place) -> None:
    configuration = server.folder / "mosquitto.conf"
    configuration.write_text(f"listener {server.port} 127.0.0.1\nallow_anonymous true\n")
    server.start(find("mosquitto"), "-c", configuration)


def _nats(server: Place) -> None:
    server.start(find("nats-server"), "-a", "127.0.0.1", "-p", str(server.port))


CONNECT_OF_MQTT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a"
#: A start-up message of PostgreSQL's protocol 3.0 for the user and the database that each cluster has.
START_OF_POSTGRESQL = (
    b"\x00\x03\x00\x00user\x00" + DATABASE_USER.encode() + b"\x00database\x00postgres\x00\x00"
)

SERVICES = {
    "postgresql": Service(
        "postgresql",
        _postgresql,
        talks((len(START_OF_POSTGRESQL) + 4).to_bytes(4, "big") + START_OF_POSTGRESQL, b"Z\x00\x00\x00\x05I"),
        f"postgresql://{DATABASE_USER}@127.0.0.1:{{port}}/postgres",
    ),
    "mariadb": Service("mariadb-server", _mariadb, talks(b"", b"MariaDB"), "mysql://127.0.0.1:{port}/test"),
    "redis": Service("redis-server", _redis, talks(b"PING\r\n", b"+PONG"), "redis://127.0.0.1:{port}/0"),
    "rabbitmq": Service(
        "rabbitmq-server",
        _rabbitmq,
        talks(b"AMQP\x00\x00\x09\x01", b"RabbitMQ"),
        "amqp://guest:guest@127.0.0.1:{port}/",
    ),
    "mosquitto": Service(
        "mosquitto", _mosquitto, talks(CONNECT_OF_MQTT, b"\x20\x02\x00\x00"), "mqtt://127.0.0.1:{port}"
    ),
    "nats": Service("nats-server", _nats, talks(b"", b"INFO "), "nats://127.0.0.1:{port}"),
}
