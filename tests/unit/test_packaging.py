"""What goes into a release: the scripts that build and try wheels, and what pyproject.toml says of them."""

import json
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest

from scripts import bill_of_materials, notices, wheel_trials, wheels
from scripts.crates import linked
from scripts.failure import Failure
from scripts.interpreters import SUPPORTED, Interpreter

pytestmark = pytest.mark.yibu_only

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

needs_cargo = pytest.mark.skipif(shutil.which("cargo") is None, reason="asks cargo")


class TestMetadata:
    def test_every_supported_python_is_named(self):
        named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if ":: 3." in each]
        assert named == list(SUPPORTED)
        assert PROJECT["requires-python"] == f">={SUPPORTED[0]}"

    def test_changelog_knows_the_version(self):
        cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
        assert cargo["workspace"]["package"]["version"] in (ROOT / "CHANGELOG.md").read_text()

    def test_allowed_licences_are_those_of_the_crates(self):
        allowed = tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"]
        assert "MIT" in allowed and "Apache-2.0" in allowed
        assert not any("GPL" in each for each in allowed)


@needs_cargo
class TestCrates:
    def test_linked_ones_only(self):
        names = {crate.name for crate in linked()}
        assert {"yibu-python", "yibu-engine", "yibu-driver", "pyo3", "libc"} <= names
        # They run in the compiler, or in tests.
        assert not names & {"pyo3-macros", "syn", "quote", "pyo3-build-config", "proptest"}

    def test_notices_are_up_to_date(self):
        notices.check()

    def test_bill_of_materials(self):
        text = bill_of_materials.document("aarch64-unknown-linux-gnu")
        assert text == bill_of_materials.document("aarch64-unknown-linux-gnu")
        assert str(ROOT) not in text and str(Path.home()) not in text
        bill = json.loads(text)
        assert bill["metadata"]["component"]["name"] == "yibu-python"
        pyo3 = next(each for each in bill["components"] if each["name"] == "pyo3")
        assert pyo3["purl"] == f"pkg:cargo/pyo3@{pyo3['version']}"
        assert len(pyo3["hashes"][0]["content"]) == 64
        listed = {each["bom-ref"] for each in bill["components"]}
        assert {need for each in bill["dependencies"] for need in each["dependsOn"]} <= listed


class TestTrials:
    @pytest.fixture
    def wheel(self, tmp_path):
        """Make a wheel of these files, beside what every wheel has to have."""

        def make(files, left_out=()):
            path = tmp_path / "yibu-0.1.0-cp313-cp313-manylinux_2_17_x86_64.whl"
            with zipfile.ZipFile(path, "w") as file:
                for name in set(wheel_trials.WANTED) - set(left_out):
                    file.writestr(name, "")
                for name, content in files.items():
                    file.writestr(name, content)
            return path

        return make

    def test_good_one(self, wheel):
        wheel_trials.look_into(wheel({"yibu/_yibu.so": b"\0crates/python/src/lib.rs\0/proc/self/fd\0"}))

    def test_without_notices(self, wheel):
        with pytest.raises(Failure, match="lacks licenses/THIRD-PARTY-NOTICES"):
            wheel_trials.look_into(wheel({}, left_out=["licenses/THIRD-PARTY-NOTICES"]))

    def test_that_names_folders_of_its_builder(self, wheel):
        with pytest.raises(Failure, match=r"names folders: /home/somebody/\.cargo/registry"):
            wheel_trials.look_into(wheel({"yibu/_yibu.so": b"\0/home/somebody/.cargo/registry\0"}))

    def test_with_files_of_developers(self, wheel):
        with pytest.raises(Failure, match=r"has tests/test_x\.py"):
            wheel_trials.look_into(wheel({"tests/test_x.py": ""}))

    def test_interpreters_that_fit(self, monkeypatch):
        monkeypatch.setattr(wheel_trials.platform, "machine", lambda: "x86_64")
        python = Interpreter("/usr/bin/python3.13", "3.13", "3.13.0", has_tests=True, has_pip=True)
        name = "yibu-0.1.0-cp{}-cp{}-manylinux2014_{}.manylinux_2_17_{}.whl"
        fitting = [
            (version, processor)
            for version in ("312", "313")
            for processor in ("x86_64", "aarch64")
            if wheel_trials.fits(Path(name.format(version, version, processor, processor)), python)
        ]
        assert fitting == [("313", "x86_64")]


class TestWheels:
    def test_all_of_them_unless_told_otherwise(self):
        options = wheels.parse([])
        assert (tuple(options.python), tuple(options.arch)) == (SUPPORTED, wheels.ARCHITECTURES)
        options = wheels.parse(["--python", "3.13", "--arch", "aarch64"])
        assert (options.python, options.arch) == (["3.13"], ["aarch64"])

    def test_target_that_is_missing_without_rustup(self, monkeypatch, tmp_path):
        rustc = tmp_path / "rustc"
        rustc.write_text(f"#!/bin/sh\necho {tmp_path}\n")
        rustc.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Failure, match="no standard library for aarch64-unknown-linux-gnu here"):
            wheels.add_target("aarch64-unknown-linux-gnu")
