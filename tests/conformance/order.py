"""What a child process is asked to do; travels as JSON on its command line."""

import json
from dataclasses import asdict, dataclass, field

CENSUS = "census"  # say which tests there are, and which of them are excluded
RUN = "run"  # run the tests of one class
REPEAT = "repeat"  # run them again and again, and say what each round leaves behind


@dataclass
class Order:
    """One module of tests, or one class of it."""

    task: str
    module: str
    implementation: str | None  # None: untouched asyncio
    own_loop: bool = (
        False  # test_utils.new_test_loop() gives the implementation's loop, not Python's TestLoop
    )
    class_name: str = ""
    done: list[str] = field(default_factory=list)  # tests that an earlier process of this class has finished
    match: str = ""
    exclude: bool = True
    seconds_per_test: float = 60
    paths: list[str] = field(default_factory=list)  # put in front of sys.path
    faults: dict[str, int] = field(default_factory=dict)  # how often system calls of its loops fail
    report_to: int = 1  # file descriptor

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Order":
        return cls(**json.loads(text))

    @property
    def label(self) -> str:
        """The module's name in test ids; the second way to run a module is a module of its own."""
        return self.module + "@loop" if self.own_loop else self.module
