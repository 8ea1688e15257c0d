"""A family is a folder: a file in it is a member under the file's name, imported only when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from federation import registry
from federation.errors import Misuse

numbers = count()


class Rule:
    """The contract of the families below."""


MEMBER = "from contract_of_families import Rule\nclass {name}(Rule):\n    pass\n"


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Return a function that writes {file: source} as a package of its own and returns the package's name."""
    monkeypatch.syspath_prepend(tmp_path)
    contract = type(sys)("contract_of_families")
    contract.Rule = Rule  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "contract_of_families", contract)
    made: list[str] = []

    def write(**files: str) -> str:
        name = f"family_{next(numbers)}"
        made.append(name)
        for path, source in {"__init__": "", **files}.items():
            file = tmp_path / name / f"{path.replace('__in__', '/')}.py"
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_text(source, "utf-8")
        return name

    yield write
    for module in [module for module in sys.modules if module.split(".")[0] in made]:
        del sys.modules[module]


def test_a_file_is_a_member_under_the_files_name(family: Callable[..., str]) -> None:
    package = family(count=MEMBER.format(name="Count"), mean=MEMBER.format(name="Average"))
    registry._scanned.cache_clear()  # as in a new process
    assert registry.names(package) == ("count", "mean")
    assert registry.look_up(package, Rule, "mean").__name__ == "Average"
    assert list(registry.discover(package, Rule)) == ["count", "mean"]


def test_a_new_file_is_a_new_member_with_no_other_edit(family: Callable[..., str], tmp_path: Path) -> None:
    package = family(count=MEMBER.format(name="Count"))
    assert registry.names(package) == ("count",)
    (tmp_path / package / "mean.py").write_text(MEMBER.format(name="Mean"), "utf-8")
    registry._scanned.cache_clear()  # as in a new process
    assert registry.names(package) == ("count", "mean")


def test_an_underscore_hides_a_file(family: Callable[..., str]) -> None:
    assert registry.names(family(count="", _shared="")) == ("count",)


def test_where_there_are_folders_the_folders_are_the_members(family: Callable[..., str]) -> None:
    package = family(machine="", masked_sum__in____init__=MEMBER.format(name="MaskedSum"))
    assert registry.names(package) == ("masked_sum",)
    assert registry.look_up(package, Rule, "masked_sum").__name__ == "MaskedSum"
    with pytest.raises(Misuse):
        registry.look_up(package, Rule, "machine")


def test_a_folders_class_may_live_in_a_file_of_the_folder(family: Callable[..., str]) -> None:
    package = family(masked_sum__in____init__="", masked_sum__in__party=MEMBER.format(name="MaskedSum"))
    (init,) = (Path(entry) for entry in __import__(package).__path__)
    (init / "masked_sum" / "__init__.py").write_text(f"from {package}.masked_sum.party import MaskedSum\n", "utf-8")
    assert registry.look_up(package, Rule, "masked_sum").__module__ == f"{package}.masked_sum.party"


def test_listing_imports_no_member(family: Callable[..., str]) -> None:
    package = family(heavy="raise RuntimeError('imported before it was asked for')", light=MEMBER.format(name="Light"))
    assert registry.names(package) == ("heavy", "light")
    assert registry.look_up(package, Rule, "light").__name__ == "Light"
    assert f"{package}.heavy" not in sys.modules


def test_an_unknown_name_is_misuse_with_the_nearest_one(family: Callable[..., str]) -> None:
    with pytest.raises(Misuse, match="no member named 'meen'") as caught:
        registry.look_up(family(count="", mean=""), Rule, "meen")
    assert caught.value.hint == "did you mean 'mean'?"


@pytest.mark.parametrize(
    "name", ["os", "sys.path", "..", "", "count.Count", "../count", "__init__", "_shared", "COUNT"]
)
def test_a_name_from_a_job_is_compared_and_never_imported(family: Callable[..., str], name: str) -> None:
    package = family(count=MEMBER.format(name="Count"), _shared=MEMBER.format(name="Shared"))
    before = set(sys.modules)
    with pytest.raises(Misuse):
        registry.look_up(package, Rule, name)
    assert set(sys.modules) - before <= {package}


def test_a_file_with_two_members_is_refused(family: Callable[..., str]) -> None:
    package = family(count=MEMBER.format(name="Count") + MEMBER.format(name="Other"))
    with pytest.raises(Misuse, match="exactly one Rule, it defines 2"):
        registry.look_up(package, Rule, "count")


def test_a_file_without_a_member_is_refused(family: Callable[..., str]) -> None:
    with pytest.raises(Misuse, match="it defines 0"):
        registry.look_up(family(count="class Count:\n    pass\n"), Rule, "count")


def test_a_class_that_was_only_imported_is_no_second_member(family: Callable[..., str]) -> None:
    package = family(count=MEMBER.format(name="Count"))
    (folder,) = (Path(entry) for entry in __import__(package).__path__)
    source = f"from {package}.count import Count\nclass Mean(Count):\n    pass\n"
    (folder / "mean.py").write_text(source, "utf-8")
    assert registry.look_up(package, Rule, "mean").__name__ == "Mean"
