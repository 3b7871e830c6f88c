"""Parameters: frozen, checked classes, with type, range and meaning next to each field.

`parameters` turns a class into a frozen dataclass whose fields are checked by pydantic. Values are not converted,
except whole numbers for fields of type float. The description of a field is its comment in conf/base.toml.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, GetPydanticSchema, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import core_schema

T = TypeVar("T")

_CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class ParameterError(ValueError):
    """Invalid values of a parameter class, with a line in `problems` for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def parameters(cls: type[T]) -> type[T]:
    """The class as a frozen dataclass whose constructor raises ParameterError with all invalid values."""
    checked: Any = dataclass(cls, frozen=True, config=_CONFIG)
    construct, names = checked.__init__, [field.name for field in dataclasses.fields(checked)]

    @functools.wraps(construct)
    def construct_or_explain(self: T, *values: Any, **named: Any) -> None:
        try:
            construct(self, *values, **named)
        except ValidationError as error:
            raise ParameterError(_problems(error, names)) from None

    checked.__init__ = construct_or_explain
    return checked


def one_of(values: Sequence[str]) -> GetPydanticSchema:
    """For a field of type `Annotated[str, one_of(VALUES)]`: only these texts are valid, and the error lists them."""
    schema = core_schema.literal_schema(list(values))
    return GetPydanticSchema(lambda source, handler: schema)


def in_words(values: Sequence[str]) -> str:
    """Two or more values, as a description lists them: `a, b or c`."""
    return f"{', '.join(values[:-1])} or {values[-1]}"


_BOUNDS = {
    "greater_than": ("gt", "above {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "below {}"),
    "less_than_equal": ("le", "at most {}"),
    "too_short": ("min_length", "at least {} long"),
}


def _problems(error: ValidationError, names: list[str]) -> list[str]:
    errors = error.errors(include_url=False)
    # pydantic does not count invalid items, and would report too few items in addition.
    with_invalid_items = {one["loc"][0] for one in errors if len(one["loc"]) > 1}
    return [
        _problem(one, names) for one in errors if one["type"] != "too_short" or one["loc"][0] not in with_invalid_items
    ]


def _problem(error: Any, names: list[str]) -> str:
    place, kind, context = _place(error["loc"], names), error["type"], error.get("ctx", {})
    if kind in ("missing", "missing_argument"):
        return f"{place} is missing"
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{place} is not a setting"
    if kind == "value_error":
        return f"{place} {context['error']}".strip()
    if kind == "string_pattern_mismatch":
        wanted = f"of the form {context['pattern']}"
    elif kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        bound = context[name]
        wanted = text.format(f"{bound:g}" if isinstance(bound, int | float) else bound)
    else:
        wanted = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{place} must be {wanted}, is {error['input']!r}"


def _place(parts: tuple[int | str, ...], names: list[str]) -> str:
    """The field, as in weights.purchase or ks[0]; pydantic identifies positional arguments by number."""
    if parts and isinstance(parts[0], int):
        parts = (names[parts[0]], *parts[1:])
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")
