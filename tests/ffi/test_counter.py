"""Native classes as Python code sees them: a module of classes that have nothing to do with asyncio."""

import gc
import importlib.machinery
import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
import weakref

import pytest

from scripts.extension import target_folder
from scripts.requirements import ROOT

pytestmark = pytest.mark.yibu_only


@pytest.fixture(scope="module")
def counter():
    """The example, built for this interpreter and imported: once for the process."""
    if "counter" in sys.modules:
        return sys.modules["counter"]
    target = target_folder(f"{sys.version_info.major}.{sys.version_info.minor}")
    subprocess.run(
        [shutil.which("cargo"), "build", "-q", "--locked", "-p", "yibu-ffi", "--example", "counter"],
        cwd=ROOT,
        check=True,
        env={**os.environ, "PYO3_PYTHON": sys.executable, "CARGO_TARGET_DIR": target},
    )
    name = "libcounter.dylib" if sys.platform == "darwin" else "libcounter.so"
    path = os.path.join(target, "debug", "examples", name)
    loader = importlib.machinery.ExtensionFileLoader("counter", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("counter", loader))
    loader.exec_module(module)
    sys.modules["counter"] = module
    return module


class TestMethods:
    def test_arguments_are_parsed_by_their_signature(self, counter):
        made = counter.Counter(3, label="x")
        made.add(4)
        made.add(2, times=5)
        assert (made.count, made.label) == (17, "x")
        assert str(inspect.signature(counter.Counter.add)) == "(self, /, amount, times=1)"

    @pytest.mark.parametrize(
        ("arguments", "keywords", "text"),
        [
            ((), {}, "Counter.add() missing 1 required positional argument: 'amount'"),
            ((1, 2, 3), {}, "Counter.add() takes from 1 to 2 positional arguments but 3 were given"),
            ((1,), {"amount": 1}, "Counter.add() got multiple values for argument 'amount'"),
            ((1,), {"more": 1}, "Counter.add() got an unexpected keyword argument 'more'"),
        ],
    )
    def test_wrong_arguments_are_named(self, counter, arguments, keywords, text):
        with pytest.raises(TypeError) as caught:
            counter.Counter().add(*arguments, **keywords)
        assert str(caught.value) == text

    def test_an_error_is_raised(self, counter):
        with pytest.raises(OverflowError, match="the count is too large"):
            counter.Counter(sys.maxsize).add(sys.maxsize + 2)

    def test_a_panic_is_an_exception(self, counter, capfd):
        made = counter.Counter(1)
        with pytest.raises(SystemError, match="on purpose"):
            made.fail()
        assert made.count == 1
        assert "on purpose" in capfd.readouterr().err

    def test_properties_are_set_and_deleted(self, counter):
        made, label = counter.Counter(), object()
        made.label = label
        assert made.is_labelled(label)
        del made.label
        assert made.label is None
        with pytest.raises(AttributeError):
            made.count = 3

    def test_a_function_of_the_module(self, counter):
        assert counter.total(counter.Counter(1), counter.Counter(2), None, counter.Counter(4)) == 7


class TestLife:
    def test_memory_of_a_dead_object_is_empty_when_it_serves_again(self, counter):
        first = counter.Counter(7, label=[])
        first.extra = 1
        reference = weakref.ref(first)
        del first
        second = counter.Counter()
        assert (second.count, second.label, vars(second), reference()) == (0, None, {}, None)

    def test_cycles_are_collected(self, counter):
        made = counter.Counter()
        made.label = made
        reference = weakref.ref(made)
        del made
        gc.collect()
        assert reference() is None

    def test_a_long_chain_dies_without_nesting(self, counter):
        chain = None
        for _ in range(200_000):
            chain = counter.Counter(label=chain)
        reference = weakref.ref(chain)
        del chain
        assert reference() is None

    def test_a_weak_set_has_the_living(self, counter):
        made = [counter.Counter(number) for number in range(3)]
        assert sorted(one.count for one in counter.living() if one in made) == [0, 1, 2]
        del made[1]
        assert sorted(one.count for one in counter.living() if one in made) == [0, 2]
        another = counter.Counter(5)
        another.__init__(6)
        assert [one.count for one in counter.living() if one is another] == [6]

    def test_what_is_held_is_released_once(self, counter):
        label = object()
        before = sys.getrefcount(label)
        made = counter.Counter(label=label)
        assert sys.getrefcount(label) == before + 1
        made.label = None
        del made
        assert sys.getrefcount(label) == before


class TestDerivation:
    def test_a_python_class_adds_attributes_and_methods(self, counter):
        class Twice(counter.Counter):
            def add(self, amount):
                super().add(amount, 2)

        made = Twice(1)
        made.own = "attribute"
        made.add(5)
        assert (made.count, made.own, type(made)) == (11, "attribute", Twice)

    def test_a_native_class_has_the_data_of_its_base(self, counter):
        made = counter.Limited(3)
        made.limit = 4
        assert (made.check(), isinstance(made, counter.Counter)) == (3, True)
        made.add(2)
        with pytest.raises(ValueError, match="beyond the limit"):
            made.check()

    def test_a_method_refuses_objects_of_another_class(self, counter):
        with pytest.raises(TypeError):
            counter.Limited.check(counter.Counter())

    def test_a_python_class_inherits_from_two_native_ones(self, counter):
        class Both(counter.Named, counter.Sized):
            pass

        made = Both()
        made.name, made.size = "n", 8
        assert (made.name, made.size) == ("n", 8)

    def test_an_object_becomes_one_of_another_native_class(self, counter):
        made = counter.Named()
        made.name = "n"
        made.__class__ = counter.Sized
        made.size = 2
        assert made.size == 2
        made.__class__ = counter.Named
        assert made.name == "n"

    def test_cycles_through_both_kinds_of_data_are_collected(self, counter):
        class Both(counter.Named, counter.Sized):
            pass

        made = Both()
        made.name = made.size = made
        reference = weakref.ref(made)
        del made
        gc.collect()
        assert reference() is None
