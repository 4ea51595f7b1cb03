"""Rounds of the network benchmarks.

For every scenario of a round the contenders take turns, each with a fresh server and a fresh client, and who
is first changes from round to round. Called by `run.py`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import FLOOR, YIBU_UNDER_ASYNCIO, Contender
from benchmarks.net.scenarios import BYTES_A_CONNECTION, MICROSECONDS_OF_DELAY, Scenario
from benchmarks.plan import Plan, rotated
from benchmarks.processes import ChildError, LineProcess, descriptors_allowed, server_and_client_cores
from benchmarks.results import Measurement

#: What a server has open beside its connections, generously.
SPARE_DESCRIPTORS = 200

#: A contender, or None for the bare epoll server.
Side = Contender | None


def measure(plan: Plan, selected: Sequence[Scenario], echo: Path) -> list[Measurement]:
    """Put all contenders through the selected scenarios."""
    lines = {each.key: Measurement(each.topic, each.name, each.unit) for each in selected}
    for number in range(plan.rounds):
        for turn, scenario in enumerate(selected):
            plan.announce(number, scenario.key)
            for side in rotated(sides(scenario, plan.contenders), number + turn):
                sample(scenario, side, lines[scenario.key], plan, echo)
    return list(lines.values())


def sides(scenario: Scenario, contenders: Sequence[Contender]) -> list[Side]:
    """Who takes part in a scenario: the floor, the contenders, and rivals with another malloc."""
    # Where no name of the namespace is used, yibu under asyncio's names is yibu.
    chosen = [each for each in contenders if scenario.has_streams or each.name != YIBU_UNDER_ASYNCIO.name]
    tuned = [each.with_roomy_malloc() for each in chosen if scenario.tries_malloc and not each.is_yibu]
    floor: list[Side] = [None] if scenario.has_floor else []
    return [*floor, *chosen, *tuned]


def sample(scenario: Scenario, side: Side, line: Measurement, plan: Plan, echo: Path) -> None:
    """Add one contender's sample of this round to a line, or say there why it cannot be had."""
    name = side.name if side else FLOOR
    if name in line.failures:
        return
    server_core, client_core = server_and_client_cores()
    if scenario.one_core:
        client_core = server_core
    command = [str(echo), scenario.floor]
    if side:
        command = [plan.python, "-m", "benchmarks.net.server", side.name, scenario.style]
    try:
        with LineProcess(command, side.environment if side else None, server_core) as server:
            port = int(server.expect("port"))
            client_command = [
                *load_generator(scenario, echo),
                *scenario.arguments(port, amount(scenario, plan)),
            ]
            with LineProcess(client_command, core=client_core) as client:
                line.add(name, difference(scenario, server, client))
    except ChildError as error:
        line.fail(name, str(error))


def load_generator(scenario: Scenario, echo: Path) -> list[str]:
    """The client's program: one in Rust, or one that speaks TLS."""
    if scenario.is_tls:
        return [sys.executable, "-m", "benchmarks.net.tls_client"]
    return [str(echo)]


def amount(scenario: Scenario, plan: Plan) -> int:
    """How many messages or connections to measure."""
    if scenario.command == "idle":
        # Not scaled: what a process needs anyway must not weigh on a few connections.
        return min(scenario.count, descriptors_allowed() - SPARE_DESCRIPTORS)
    return plan.scaled(scenario.count)


def difference(scenario: Scenario, server: LineProcess, client: LineProcess) -> float:
    """Let the client do what is measured, and return what it cost the server per unit."""
    if scenario.unit == MICROSECONDS_OF_DELAY:
        client.expect("ready")
        client.send("go")
        return int(client.expect("done")) / 1000
    if scenario.unit == BYTES_A_CONNECTION:
        read, divisor = server.resident_bytes, 1
    else:
        read, divisor = server.cpu_ns, 1000
    client.expect("ready")
    before = read()
    client.send("go")
    done = int(client.expect("done"))
    return (read() - before) / done / divisor
