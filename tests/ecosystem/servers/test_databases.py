"""Clients of databases: what their users do, on the real server."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.ecosystem.servers.conftest import absent
from tests.ecosystem.servers.documents import running

pytestmark = pytest.mark.time_limit(150)


def test_asyncpg(work_with):
    work_with("asyncpg", "on_asyncpg", "postgresql")


def test_psycopg(work_with):
    work_with("psycopg", "on_psycopg", "postgresql")


def test_aiomysql(work_with):
    work_with("aiomysql", "on_aiomysql", "mariadb")


def test_redis(work_with):
    work_with("redis", "on_redis", "redis")


def odbc_driver(name, packages):
    """Find a driver of unixodbc."""
    found = list(Path("/usr/lib").glob(f"**/odbc/{name}")) + list(Path("/usr/lib").glob(f"**/{name}"))
    if not found:
        absent(f"there is no {name} (Debian: apt-get install unixodbc {packages})")
    return found[0]


def test_aioodbc_and_sqlite(work_with, tmp_path):
    driver = odbc_driver("libsqlite3odbc.so", "libsqliteodbc")
    work_with("aioodbc", "on_aioodbc", None, f"Driver={driver};Database={tmp_path}/numbers;Timeout=20000")


def test_aioodbc_and_mariadb(work_with, servers):
    driver = odbc_driver("libmaodbc.so", "odbc-mariadb")
    port = urlsplit(servers("mariadb")).port
    work_with(
        "aioodbc",
        "on_aioodbc",
        None,
        f"Driver={driver};Server=127.0.0.1;Port={port};Database=test;User=tester;Password=",
    )


@pytest.fixture(scope="module")
def documents():
    """The address of the small server that speaks MongoDB's protocol."""
    pytest.importorskip("bson")
    with running() as address:
        yield address


@pytest.mark.parametrize("library", ["pymongo", "motor"])
def test_clients_of_mongodb(work_with, documents, library):
    """The server is the test's own, with a handful of commands: Debian has none."""
    work_with(library, f"on_{library}", None, documents)
