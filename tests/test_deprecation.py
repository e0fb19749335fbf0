"""Old names of arguments: accepted with a warning, never beside the new ones."""

from __future__ import annotations

import inspect

import pytest

import twofold
from twofold.deprecation import renamed_arguments


@renamed_arguments(colour="color")
def paint(thing: str, *, color: str = "red") -> str:
    return f"{thing} {color}"


def test_new_names_pass_without_a_warning(recwarn):
    assert paint("door", color="blue") == "door blue"
    assert not recwarn


def test_an_old_name_is_passed_on_with_a_warning():
    with pytest.warns(DeprecationWarning, match="colour is now called color") as caught:
        assert paint("door", colour="blue") == "door blue"
    assert caught[0].filename == __file__


def test_both_names_together_are_an_error():
    with pytest.raises(TypeError, match="got colour, the old name of color, besides color"):
        paint("door", colour="blue", color="blue")


@pytest.mark.parametrize(("old", "new"), [("relations", "relation_model"), ("sets", "coverage")])
def test_load_takes_the_old_names(tmp_path, old, new):
    assert new in inspect.signature(twofold.load).parameters
    no_folder = pytest.raises(twofold.TwofoldError, match="no such folder")
    with pytest.warns(DeprecationWarning, match=f"{old} is now called {new}"), no_folder:
        twofold.load(tmp_path / "none", **{old: 0.9})
