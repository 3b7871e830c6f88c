"""Parameter classes: what they refuse and how they say it, and conf/base.toml against their fields."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from freshet.core.errors import SettingsError
from freshet.core.parameters import ParameterError, in_words, one_of, parameters
from freshet.runs.settings import load_settings

BASE = Path(__file__).parents[2] / "conf" / "base.toml"
COLOURS = ("red", "green", "blue")


@parameters
class Example:
    """Parameters of every kind."""

    count: int = Field(ge=1)
    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(min_length=1)
    weights: dict[str, float] = Field()
    is_on: bool = Field()
    colour: Annotated[str, one_of(COLOURS)] = Field(description=in_words(COLOURS))


GOOD: dict[str, Any] = {"count": 2, "shares": (0.5,), "weights": {"a": 1.0}, "is_on": True, "colour": "red"}


def test_whole_numbers_are_numbers_and_nothing_else_is_converted() -> None:
    assert Example(**{**GOOD, "weights": {"a": 1}}).weights == {"a": 1.0}
    for wrong in ({"count": "2"}, {"count": 2.0}, {"count": True}, {"is_on": 1}, {"weights": {"a": "1"}}):
        with pytest.raises(ParameterError):
            Example(**{**GOOD, **wrong})


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"count": 0}, "count must be 1 or more, is 0"),
        ({"shares": (0.5, 1.5)}, "shares[1] must be below 1, is 1.5"),
        ({"shares": ()}, "shares must be at least 1 long, is ()"),
        ({"weights": {"a": math.nan}}, "weights.a must be a finite number, is nan"),
        ({"depth": 3}, "depth is not a setting"),
        ({"colour": "grey"}, "colour must be 'red', 'green' or 'blue', is 'grey'"),
        ({"colour": 3}, "colour must be 'red', 'green' or 'blue', is 3"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Example(**{**GOOD, **wrong})
    assert caught.value.problems == [line]


def test_all_problems_are_found_at_once_also_of_values_given_by_place() -> None:
    with pytest.raises(ParameterError) as caught:
        Example(0, (2.0,), {}, True, "red")
    assert caught.value.problems == ["count must be 1 or more, is 0", "shares[0] must be below 1, is 2.0"]


def test_parameters_can_be_replaced_and_never_changed() -> None:
    example = dataclasses.replace(Example(**GOOD), count=3)
    assert dataclasses.asdict(example) == {**GOOD, "count": 3}
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.count = 4  # type: ignore[misc]
    with pytest.raises(ParameterError):
        dataclasses.replace(example, count=0)


def test_the_description_of_a_choice_lists_its_values() -> None:
    fields: Any = vars(Example)["__pydantic_fields__"]
    assert fields["colour"].description == "red, green or blue"


def test_wrong_settings_of_several_sections_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, ("gate.k=0", "lists.length='ten'", "stream.speed=1"))
    for words in ("gate.k must be 1 or more, is 0", "lists.length must be integer", "stream.speed is not a setting"):
        assert words in caught.value.line()


def test_the_settings_file_says_of_every_key_what_its_field_says() -> None:
    settings = load_settings()
    sections = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    sections |= {f"item_models.{name}": of_model for name, of_model in settings.item_models.models.items()}
    meant = {
        f"{section}.{name}": field.description
        for section, values in sections.items()
        for name, field in values.__pydantic_fields__.items()
        if (section, name) != ("item_models", "models")
    }
    assert dict(_comments(BASE.read_text(encoding="utf-8"))) == meant


def _comments(text: str) -> list[tuple[str, str]]:
    """(section.key, comment) of every key: the comment behind the value, else the one on the line before it."""
    found, section, above = [], "", ""
    for line in text.splitlines():
        if head := re.match(r"\[([\w.]+)\]", line):
            section = head.group(1)
        elif key := re.match(r"(\w+) = ", line):
            behind = re.search(r"\s# (.*)$", line)
            found.append((f"{section}.{key.group(1)}", behind.group(1) if behind else above))
        above = line.removeprefix("# ") if line.startswith("# ") else ""
    return found
