"""The options and variables by which inspection is turned on from outside, without a change to the program.

Called by `command_line_options.py` and `command_line.py`, and when yibu is imported, for the variables.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields

from yibu.inspection import VARIABLES

_FLAGS = {"--inspect": "socket", "--dump-crash": "crash", "--inspect-remote": "remote"}
_SIGNALS = {"--inspect-signal": "open_signal", "--dump-signal": "dump_signal"}

HELP = """\
--inspect      : let `python -m yibu ps PID` see the tasks: yibu.inspect()
--inspect=HOST:PORT: the same, and serve a page that shows them, to this machine only
--inspect-remote: let other machines reach the page; it is not encrypted
--inspect-signal SIG: begin with that when this signal comes (USR1)
--dump-signal SIG: print the tasks to standard error when this signal comes (USR2)
--dump-crash   : print them when an exception leaves run()
"""


@dataclass
class Wanted:
    """What is to be turned on."""

    socket: bool = False
    open_signal: int | None = None
    dump_signal: int | None = None
    crash: bool = False
    address: str | None = None
    remote: bool = False

    def __bool__(self) -> bool:
        return any(
            getattr(self, field.name) not in (False, None) for field in fields(self) if field.name != "remote"
        )

    def start(self, *, inherited: bool = False) -> None:
        """Turn it on, until the process ends. ValueError or OSError for an address that cannot be served.

        Processes that a program starts inherit what is `inherited`, and only one of them can serve the page.
        """
        if not self:
            return
        try:
            self._start()
        except OSError as error:
            if not inherited or error.errno != errno.EADDRINUSE or self.address is None:
                raise
            print(
                f"yibu: no page at {self.address} for process {os.getpid()}: {error.strerror}",
                file=sys.stderr,
            )
            self.address = None
            self._start()

    def _start(self) -> None:
        from yibu.inspection.inspecting import Inspection

        Inspection(
            socket=self.socket,
            open_signal=self.open_signal,
            dump_signal=self.dump_signal,
            crash=self.crash,
            address=self.address,
            remote=self.remote,
        )

    def as_options(self) -> list[str]:
        """The options that say the same."""
        found = [option for option, name in _FLAGS.items() if getattr(self, name)]
        if self.address is not None:
            found.append(f"--inspect={self.address}")
        for option, name in _SIGNALS.items():
            if getattr(self, name) is not None:
                found += [option, str(getattr(self, name))]
        return found

    def take(self, option: str, value: Callable[[], str]) -> bool:
        """Note an option, whose value is taken from what follows it. False for one that is none of these."""
        name, glued, text = option.partition("=")
        if name == "--inspect" and glued:
            from yibu.inspection import listening

            listening.parse(text)
            self.socket, self.address = True, text
            return True
        if name in _FLAGS and not glued:
            setattr(self, _FLAGS[name], True)
            return True
        if name in _SIGNALS:
            setattr(self, _SIGNALS[name], signal_number(text if glued else value()))
            return True
        return False


def signal_number(value: int | str) -> int:
    """The number of a signal: 12, "12", "USR2" or "SIGUSR2". ValueError for what is none."""
    text = str(value).strip().upper()
    if text.isdigit() and int(text) in signal.valid_signals():
        return int(text)
    name = text if text.startswith("SIG") else f"SIG{text}"
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise ValueError(f"{value!r} is no signal of this system") from None


def from_environment() -> Wanted:
    """What the variables of the environment ask for."""
    wanted = Wanted()
    for variable, name in VARIABLES.items():
        value = os.environ.get(variable, "")
        if value in ("", "0"):
            continue
        if name == "socket" and ":" in value:
            wanted.socket, wanted.address = True, value
            continue
        if not name.endswith("signal"):
            if value != "1":
                accepted = "0, 1 or HOST:PORT" if name == "socket" else "0 or 1"
                raise ValueError(f"{variable} must be {accepted}, not {value!r}")
            setattr(wanted, name, True)
            continue
        try:
            setattr(wanted, name, signal_number(value))
        except ValueError as error:
            raise ValueError(f"{variable}: {error}") from None
    return wanted
