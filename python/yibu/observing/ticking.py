"""`Ticking`: the thread that keeps the clock of observed loops. `observation.py` starts it."""

import threading

from yibu import _yibu
from yibu.observing import background


class Ticking:
    """A worker of `background.py`."""

    def begin(self) -> None:
        """Start the thread."""
        self._ticker = _yibu._Ticker()
        self.thread = threading.Thread(target=self._ticker.run, name="yibu-clock", daemon=True)
        self.thread.start()

    def end(self) -> None:
        """Stop the thread."""
        self._ticker.stop()
        background.join(self.thread)
