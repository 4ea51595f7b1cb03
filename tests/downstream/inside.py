"""Loaded by pytest in the process of a suite: puts it on yibu or leaves it on asyncio, records outcomes.

That process is a program like any other, so nothing of this project is imported here but yibu itself.
`running.py` starts it and says in its environment what is wanted.
"""

import json
import logging
import os
import socket
import sys

ON = os.environ["YIBU_DOWNSTREAM_ON"]
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::")

if ON != "asyncio":
    import yibu

    yibu.install(patch=ON == "installed")

for name in os.environ["YIBU_DOWNSTREAM_SILENCED"].split():
    logging.getLogger(name).setLevel(logging.CRITICAL)


def refuse_the_network(event, arguments):
    """Let nothing out of this machine and ask no name server: no outcome may depend on either."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
            raise OSError(101, "Network is unreachable")
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        if isinstance(host, bytes):
            host = host.decode("latin-1")
        if host and not is_number(host) and host.rstrip(".") not in ("localhost", socket.gethostname()):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def is_number(host):
    """Whether a host is an address, for which nobody has to be asked."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False


sys.addaudithook(refuse_the_network)


class Recorder:
    """Writes a line for each report, at once: the process may not live to its end."""

    def __init__(self, path):
        # A descriptor, because an open file would be one too many for suites that count them or warn of them.
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, **entry):
        os.write(self.file, json.dumps(entry).encode() + b"\n")

    def pytest_runtest_logreport(self, report):
        outcome = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if outcome == "skipped" else "xpassed"
        text = report.longreprtext[-6000:] if outcome == "failed" else ""
        self.write(test=report.nodeid, when=report.when, outcome=outcome, text=text)

    def pytest_collectreport(self, report):
        if report.failed:
            self.write(test=report.nodeid, when="collect", outcome="failed", text=report.longreprtext[-6000:])


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # a worker of xdist reports to the process that started it
        config.pluginmanager.register(Recorder(os.environ["YIBU_DOWNSTREAM_RECORD"]))
