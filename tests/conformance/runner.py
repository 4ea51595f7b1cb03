"""Plans a run and carries it out: a census of every module, then a process per test class, side by side.

Called by `__main__` and by the runner's own tests.
"""

import pkgutil
import platform
import re
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace

from . import outcome
from .exclusions import MODULES_ON_TEST_LOOP
from .order import CENSUS, RUN, Order
from .outcome import Outcome
from .process import Report, run
from .results import ModuleResults, Results

# For a class, whose tests have limits of their own; and for loading a module.
SECONDS_PER_CLASS = 600
SECONDS_PER_CENSUS = 120
# A crash or a hang ends the process of the class, and the next one goes on behind that test.
RESTARTS_PER_CLASS = 50


@dataclass
class Options:
    """What to run, and how."""

    implementation: str | None = "yibu"
    modules: list[str] = field(default_factory=list)  # labels; empty: all
    match: str = ""
    jobs: int = 1
    exclude: bool = True
    seconds_per_test: float = 60
    paths: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)


def all_modules() -> list[str]:
    """The modules of this interpreter's asyncio tests."""
    package = __import__("test.test_asyncio", fromlist=["__path__"])
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name.startswith("test_"))


def orders(options: Options) -> list[Order]:
    """The census of each module; those that use test_utils.new_test_loop() count twice."""
    found = []
    for module in all_modules():
        order = Order(
            CENSUS,
            module,
            options.implementation,
            match=options.match,
            exclude=options.exclude,
            seconds_per_test=options.seconds_per_test,
            paths=options.paths,
            faults=options.faults,
        )
        found.append(order)
        if module in MODULES_ON_TEST_LOOP and options.implementation is not None:
            found.append(replace(order, own_loop=True))
    if options.modules:
        unknown = set(options.modules) - {o.module for o in found} - {o.label for o in found}
        if unknown:
            raise SystemExit(f"no such modules in this interpreter: {', '.join(sorted(unknown))}")
        found = [o for o in found if o.module in options.modules or o.label in options.modules]
    return found


def run_all(options: Options, progress: Callable[[ModuleResults], None]) -> Results:
    """Run everything asked for; `progress` is called with each module when it is complete."""
    results = Results(
        options.implementation or "untouched asyncio",
        platform.python_version(),
        complete=not (options.modules or options.match),
    )
    with ThreadPoolExecutor(options.jobs) as pool:
        counts = [(order, pool.submit(census, order)) for order in orders(options)]
        work: dict[Future[None], ModuleResults] = {}
        left: dict[str, int] = {}
        for order, counted in counts:
            module = counted.result()
            results.modules[order.label] = module
            classes = dict.fromkeys(name.split(".")[1] for name in module.planned)
            left[order.label] = len(classes)
            for name in classes:
                work[pool.submit(_run_class, replace(order, task=RUN, class_name=name), module)] = module
            if not classes:
                progress(module)
        for done in as_completed(work):
            done.result()
            module = work[done]
            left[module.label] -= 1
            if not left[module.label]:
                progress(module)
    return results


def census(order: Order) -> ModuleResults:
    """Which tests there are: for untouched asyncio, and for the implementation with its exclusions."""
    module = ModuleResults(order.label)
    for target, implementation in ((module.reference, None), (module.loaded, order.implementation)):
        asked = replace(order, implementation=implementation)
        report = run(asked, SECONDS_PER_CENSUS)
        for event in report.events:
            if event["event"] == "test":
                # The ids of the reference are those of the implementation's label.
                target[event["id"]] = event["skipped"]
                if implementation is not None and event["excluded"]:
                    module.excluded[event["id"]] = tuple(event["excluded"])
            elif event["event"] == "module skipped":
                module.skipped_because = event["reason"]
        module.troubles += _troubles(order.label, report)
    module.planned = [
        name for name in module.loaded if name not in module.excluded and re.search(order.match, name)
    ]
    return module


def _run_class(order: Order, module: ModuleResults) -> None:
    """Run one class to its end, in as many processes as crash or hang on the way."""
    planned = [name for name in module.planned if name.split(".")[1] == order.class_name]
    start = time.monotonic()
    for _ in range(RESTARTS_PER_CLASS):
        done = [name for name in planned if name in module.outcomes]
        report = run(replace(order, done=done), SECONDS_PER_CLASS)
        unfinished = _take_outcomes(report, module)
        if report.finished:
            module.troubles += _troubles(f"{order.label}.{order.class_name}", report)
            break
        if unfinished is None:
            # Between tests: nothing to blame, and nothing that a new process would do differently.
            module.troubles += _troubles(f"{order.label}.{order.class_name}", report)
            break
        hung = report.exit_code is None or "Timeout (" in report.output
        message = f"exit code {report.exit_code}\n{report.output[-4000:]}"
        module.outcomes[unfinished] = Outcome(outcome.HUNG if hung else outcome.CRASHED, message)
    for name in planned:
        module.outcomes.setdefault(name, Outcome(outcome.NOT_RUN, "planned, but it never started"))
    module.seconds += time.monotonic() - start


def _take_outcomes(report: Report, module: ModuleResults) -> str | None:
    """Note what ended; the test that was running at the end of the process, if any."""
    running = None
    for event in report.events:
        if event["event"] == "start":
            running = event["id"]
        elif event["event"] == "end":
            module.outcomes[event["id"]] = Outcome(event["state"], event["message"], event["seconds"])
            running = None
    return running


def _troubles(what: str, report: Report) -> list[str]:
    """What went wrong in a process outside its tests."""
    found = []
    for event in report.events:
        if event["event"] == "load failed":
            found.append(f"{what} did not load: {event['message']}")
        elif event["event"] == "fixture" and event["state"] != outcome.SKIPPED:
            found.append(f"{what}: {event['what']}: {event['message']}")
    if not found and not report.finished:
        found.append(
            f"{what}: the process ended between tests, exit code {report.exit_code}\n{report.output}"
        )
    elif report.finished and report.exit_code != 0:
        how = "did not exit" if report.exit_code is None else f"exited with {report.exit_code}"
        found.append(f"{what}: the process {how} after its tests\n{report.output}")
    return found
