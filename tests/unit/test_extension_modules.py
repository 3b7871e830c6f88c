"""What the setting extensions.modules may name, and that names of a module are known with it alone."""

import sys
from types import ModuleType

import pytest

from freshet.core.errors import SettingsError, StateError
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.extensions import extended, extension_digests, load_extensions
from freshet.ranking.terms.factors import Factors
from freshet.ranking.terms.registry import TERMS, term_of
from freshet.runs.settings import load_settings
from tests import toys

TOYS = "tests.toys"


def test_the_names_of_a_module_are_known_within_its_context_alone() -> None:
    known = (ITEM_MODELS.names, TERMS.names)
    assert extension_digests() == {}
    with extended(TOYS):
        assert set(extension_digests()) == {TOYS}
        assert term_of("mirror").describe("mirror") == "Mirror images"
        assert term_of("even").name == term_of("even_more").name == "even"
    assert (ITEM_MODELS.names, TERMS.names) == known
    for name in ("mirror", "even", "last_letter"):
        with pytest.raises(StateError, match=f"{name}: there is no term of this name.*extensions.modules"):
            term_of(name)


def test_modules_that_bring_nothing_or_a_name_that_is_taken_are_refused_and_leave_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = ModuleType("taken")
    taken.ITEM_MODELS, taken.TERMS = toys.ITEM_MODELS, (Factors(),)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "taken", taken)
    known = (ITEM_MODELS.names, TERMS.names)
    for name, message in {
        "tests.there_is_none": "cannot be imported",
        "tests.factories": "neither item models nor terms",
        "taken": "two entries have the same name: term factors",
    }.items():
        with pytest.raises((SettingsError, StateError), match=message):
            load_extensions([name])
        assert (ITEM_MODELS.names, TERMS.names) == known


def test_the_section_of_a_model_is_a_setting_with_its_module_alone() -> None:
    with extended(), pytest.raises(SettingsError, match=r"item_models\.mirror\.shifts is missing"):
        load_settings("test", (f'extensions.modules=["{TOYS}"]',))
    with pytest.raises(SettingsError, match=r"item_models.mirror is not a setting .*neighbours, linear_items"):
        load_settings("test", ("item_models.mirror.shifts=[0]",))
