# SPDX-License-Identifier: Apache-2.0
"""Imports that are put off come when they are needed, and leave nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.engine.lazily import put_off


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that notes its imports, and a module that imports it at its start as libraries do."""
    (tmp_path / "seldom_used").mkdir()
    (tmp_path / "seldom_used" / "__init__.py").write_text("import builtins\nDRIVER = 'driver'\n")
    (tmp_path / "seldom_used" / "errors.py").write_text("class Lost(Exception): ...\n")
    (tmp_path / "its_user.py").write_text(
        "import seldom_used\nfrom seldom_used import errors as err\n"
        "def is_lost(error): return isinstance(error, err.Lost)\n"
    )
    (tmp_path / "annotated.py").write_text(
        "from seldom_used.errors import Lost\n"
        "def tell(error: Lost | None, *others: 'Lost[int]') -> Lost: return isinstance(error, (Lost, KeyError))\n"
        "Many = Lost[int]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "seldom_used"
    for name in ("seldom_used", "seldom_used.errors", "its_user", "annotated"):
        sys.modules.pop(name, None)


def test_nothing_is_imported_until_something_is_asked_for(package: str) -> None:
    with put_off(package, f"{package}.errors"):
        import its_user  # type: ignore[import-not-found]
    assert package not in sys.modules and f"{package}.errors" not in sys.modules
    assert not its_user.is_lost(ValueError())
    import seldom_used.errors  # type: ignore[import-not-found]

    assert its_user.is_lost(seldom_used.errors.Lost())
    assert its_user.seldom_used.DRIVER == "driver" == seldom_used.DRIVER
    assert type(sys.modules[package]).__name__ == "module", "who imports it afterwards gets the real one"


def test_what_is_there_is_left_alone(package: str) -> None:
    import seldom_used

    with put_off(package):
        import its_user
    assert its_user.seldom_used is seldom_used is sys.modules[package]


def test_used_within(package: str) -> None:
    with put_off(package):
        import seldom_used

        assert seldom_used.DRIVER == "driver"
        with pytest.raises(AttributeError):
            seldom_used.missing  # noqa: B018
    assert sys.modules[package].DRIVER == "driver"


def test_a_class_that_is_only_written_into_annotations_is_not_imported(package: str) -> None:
    with put_off(parts={f"{package}.errors": ("Lost",)}):
        import annotated  # type: ignore[import-not-found]
    assert not annotated.tell(ValueError()) and annotated.tell(KeyError())
    assert f"{package}.errors" not in sys.modules
    from seldom_used.errors import Lost

    assert Lost is not annotated.Lost
    assert annotated.tell(Lost()) and isinstance(Lost(), annotated.Lost) and issubclass(Lost, annotated.Lost)
    assert not isinstance(ValueError(), annotated.Lost)


def test_a_class_that_is_called_after_all_is_the_real_one(package: str) -> None:
    with put_off(parts={f"{package}.errors": ("Lost",)}):
        import annotated
    made = annotated.Lost("gone")
    assert type(made) is sys.modules[f"{package}.errors"].Lost and made.args == ("gone",)
    assert annotated.Lost.add_note is type(made).add_note
