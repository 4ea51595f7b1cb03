"""`Ticking`: the thread that keeps the clock of observed loops. `observation.py` starts it."""

from yibu import _yibu


class Ticking:
    """A worker of `background.py`, whose thread is no thread of Python's."""

    thread = None

    def begin(self) -> None:
        """Start the thread."""
        self._ticker = _yibu._Ticker()
        self._ticker.start()

    def end(self) -> None:
        """Stop the thread."""
        self._ticker.stop()
