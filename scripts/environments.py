"""Makes and fills the virtual environments: one per Python version, in .venv/<version>."""

import json
import shutil
import subprocess
from pathlib import Path

from scripts.failure import Failure
from scripts.interpreters import Interpreter, discover
from scripts.requirements import ROOT, group

NO_PIP = """{python} can make no virtual environment with pip in it. Do one of these and run make again:
  Debian, Ubuntu:  apt-get install python3-venv
  elsewhere:       {python} -m pip install --user virtualenv"""


class Environment:
    """A virtual environment of one interpreter; made when it is missing or its interpreter has changed."""

    def __init__(self, interpreter: Interpreter, folder: Path | None = None) -> None:
        self.interpreter = interpreter
        self.folder = folder or ROOT / ".venv" / interpreter.version
        self.python = str(self.folder / "bin" / "python")
        self.stamp = self.folder / "yibu-environment.json"

    def prepare(self, *groups: str) -> None:
        """Make the environment if need be and install the dependency groups that it lacks."""
        self.prepare_with({name: group(name) for name in groups})

    def prepare_with(self, groups: dict[str, list[str]]) -> None:
        """The same for groups of requirements that pyproject.toml does not have."""
        state = self._state()
        if state.get("interpreter") != self._identity() or not Path(self.python).exists():
            self._create()
            state = {"interpreter": self._identity(), "groups": {}, "optional": []}
        for name, wanted in groups.items():
            if state["groups"].get(name) != wanted:
                print(f"installing {', '.join(wanted)} into {self.folder}", flush=True)
                self.pip("install", "--upgrade", *wanted)
                state["groups"][name] = wanted
                self.stamp.write_text(json.dumps(state))
        self.stamp.write_text(json.dumps(state))

    def prepare_what_can_be(self, name: str) -> None:
        """Install what can be installed here of a group whose members are welcome and not needed."""
        state = self._state()
        for requirement in group(name):
            if requirement not in state["optional"]:
                try:
                    self.pip("install", requirement)
                except Failure as failure:
                    print(f"going on without {requirement}: {failure}")
                else:
                    state["optional"].append(requirement)
        self.stamp.write_text(json.dumps(state))

    def pip(self, *arguments: str) -> None:
        """Run the environment's pip."""
        command = [self.python, "-m", "pip", "--disable-pip-version-check", arguments[0], "--quiet"]
        done = subprocess.run([*command, *arguments[1:]], check=False)
        if done.returncode:
            raise Failure(f"pip {' '.join(arguments)} failed in {self.folder}")

    def _identity(self) -> list[str]:
        return [self.interpreter.executable, self.interpreter.full_version]

    def _state(self) -> dict:
        try:
            return json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return {}

    def _create(self) -> None:
        print(f"making {self.folder} with {self.interpreter.executable}", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        if not (self._with_venv() or self._with_virtualenv() or self._with_borrowed_pip()):
            raise Failure(NO_PIP.format(python=self.interpreter.executable))

    def _with_venv(self) -> bool:
        return self._quietly(self.interpreter.executable, "-m", "venv", "--clear", str(self.folder))

    def _with_virtualenv(self) -> bool:
        """Debian's python3 comes without ensurepip, and then venv cannot install pip."""
        return self._quietly(self.interpreter.executable, "-m", "virtualenv", "--clear", str(self.folder))

    def _with_borrowed_pip(self) -> bool:
        """Any pip since 22.3 can install into another interpreter's environment."""
        bare = [self.interpreter.executable, "-m", "venv", "--clear", "--without-pip", str(self.folder)]
        return self._quietly(*bare) and any(
            self._quietly(lender.executable, "-m", "pip", "--python", self.python, "install", "pip")
            for lender in discover().values()
            if lender.has_pip
        )

    @staticmethod
    def _quietly(*command: str) -> bool:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
