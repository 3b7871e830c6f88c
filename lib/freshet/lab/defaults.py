"""The values of conf/base.toml for what a fit needs, so that a name is enough and code holds no defaults."""

import dataclasses
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from freshet.core.conf_files import conf_folder
from freshet.core.errors import SettingsError, listed
from freshet.core.parameters import ParameterError
from freshet.evaluation.parameters import EvaluationParameters
from freshet.features.interactions import InteractionParameters
from freshet.models.factors.parameters import AlsParameters, FactorisationParameters
from freshet.models.items.item_model import no_decay_at_zero
from freshet.models.items.registry import ITEM_MODELS
from freshet.runs.settings import build
from freshet.tuning.parameters import SearchParameters

T = TypeVar("T")


@cache
def _base() -> dict[str, Any]:
    return tomllib.loads(conf_folder().joinpath("base.toml").read_text(encoding="utf-8"))


def _section(cls: type[T], name: str) -> T:
    problems: list[str] = []
    made = build(cls, _base()[name], f"{name}.", problems)
    if problems:
        raise SettingsError(listed(problems), where="conf/base.toml")
    return made


def search() -> SearchParameters:
    """Section search."""
    return _section(SearchParameters, "search")


def evaluation() -> EvaluationParameters:
    """Section evaluation."""
    return _section(EvaluationParameters, "evaluation")


def interaction_weights() -> Mapping[str, float]:
    """The weights of events by GA4 name."""
    return _section(InteractionParameters, "interactions").weights


def factorisation() -> FactorisationParameters:
    """Section factorisation."""
    return _section(FactorisationParameters, "factorisation")


def item_model_limits() -> tuple[int, float]:
    """Most items of a model, and GB that a fit may use."""
    values = _base()["item_models"]
    return int(values["most_items"]), float(values["memory_gb"])


def configuration(name: str, given: Any) -> Any:
    """The configuration of an item model: `given` as it is, or the first that the settings would try, with the values
    of a mapping `given` in place of its own.

    Raises StateError for an unknown model, SettingsError for values that are unknown, missing or invalid.
    """
    model = ITEM_MODELS[name]
    if isinstance(given, model.configuration):
        return given
    problems: list[str] = []
    section: Any = build(model.settings, _base()["item_models"].get(name, {}), "", problems)
    options = [] if problems else model.options(section)
    usual = _values(options[0]) if options else {}
    if given is None and not options:
        wanted = ", ".join(field.name for field in dataclasses.fields(model.configuration))
        raise SettingsError("this model has no usual configuration", where=f"models.{name}", expected=wanted)
    return made(model.configuration, {**usual, **dict(given or {})}, where=f"models.{name}")


def made(cls: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """An instance of a frozen class. Raises SettingsError for values that are unknown, missing or invalid."""
    try:
        return cls(**values)
    except ParameterError as error:
        raise SettingsError(listed(error.problems), where=where) from None
    except (TypeError, ValueError) as error:
        raise SettingsError(str(error), where=where) from None


def _values(configuration: Any) -> dict[str, Any]:
    return {field.name: getattr(configuration, field.name) for field in dataclasses.fields(configuration)}


@dataclasses.dataclass(frozen=True)
class FactorSettings:
    """Parameters of ALS, and the half-lives in days of the strengths that train it and that are folded in; None: no
    decay."""

    als: AlsParameters
    item_half_life_days: float | None
    user_half_life_days: float | None


def factor_settings(given: AlsParameters | Mapping[str, Any] | bool) -> FactorSettings:
    """From `given`: True for the first values that the settings would try; a mapping replaces some of them, by the
    names of AlsParameters and the half-lives; AlsParameters as they are, without decay."""
    if isinstance(given, AlsParameters):
        return FactorSettings(given, None, None)
    params = search()
    usual: dict[str, Any] = {
        "rank": params.ranks[0], "max_iter": params.max_iters[0], "reg_param": params.reg_params[0],
        "alpha": params.alphas[0], "seed": params.seed, "reg_power": params.reg_power,
        "item_half_life_days": no_decay_at_zero(params.item_half_lives_days[0]),
        "user_half_life_days": no_decay_at_zero(params.user_half_lives_days[0]),
    }  # fmt: skip
    values = {**usual, **({} if isinstance(given, bool) else dict(given))}
    days = {name: values.pop(name) for name in ("item_half_life_days", "user_half_life_days")}
    wrong = [f"{name} must be above 0 or None, is {value!r}" for name, value in days.items()
             if value is not None and not (isinstance(value, int | float) and value > 0)]  # fmt: skip
    if wrong:
        raise SettingsError(listed(wrong), where="ALS")
    return FactorSettings(made(AlsParameters, values, where="ALS"), **days)
