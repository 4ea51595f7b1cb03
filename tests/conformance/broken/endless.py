"""A loop that never comes back: tests must be found hung, and those after them must still run."""

import threading

from .. import stock


class EventLoop(stock.EventLoop):
    """Waits for what never happens."""

    def run_forever(self) -> None:
        threading.Event().wait()
