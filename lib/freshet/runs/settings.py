"""Settings: every key of conf/base.toml, read into the parameter dataclasses that stand beside the code.

Code holds no default values: conf/base.toml does, with unit and meaning of each key. An environment file
(conf/dev.toml, test.toml, prod.toml) and `--set section.key=value` override single keys.
"""

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from freshet.cleaning.parameters import CleaningParameters
from freshet.core.errors import SettingsError, listed
from freshet.evaluation.parameters import EvaluationParameters, GateParameters
from freshet.evaluation.splitting import WindowParameters
from freshet.features.interactions import InteractionParameters
from freshet.models.factors.parameters import FactorisationParameters
from freshet.models.propensity.model import PropensityParameters
from freshet.models.segments.model import SegmentParameters
from freshet.ranking.parameters import ListParameters
from freshet.runs.service_parameters import ServiceParameters, StreamParameters
from freshet.tables.maintenance.parameters import CompactionParameters
from freshet.tuning.parameters import ItemModelParameters, SearchParameters

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """One field per section of the settings files."""

    cleaning: CleaningParameters
    windows: WindowParameters
    interactions: InteractionParameters
    search: SearchParameters
    item_models: ItemModelParameters
    factorisation: FactorisationParameters
    lists: ListParameters
    evaluation: EvaluationParameters
    gate: GateParameters
    propensity: PropensityParameters
    segments: SegmentParameters
    stream: StreamParameters
    service: ServiceParameters
    compaction: CompactionParameters


def conf_folder() -> Traversable:
    """The conf folder of the checkout, else the copy that wheel and zip carry."""
    checkout = Path(__file__).parents[3] / "conf"
    return checkout if checkout.is_dir() else files("freshet").joinpath("_conf")


def load_settings(environment: str | None = None, overrides: tuple[str, ...] = ()) -> Settings:
    """base.toml, then the environment's file, then the overrides. Raises SettingsError listing every problem."""
    values = _read(conf_folder().joinpath("base.toml"))
    if environment is not None:
        values = _merged(values, _read(conf_folder().joinpath(f"{environment}.toml")))
    for override in overrides:
        values = _merged(values, _parsed_override(override))
    problems: list[str] = []
    settings = build(Settings, values, "", problems)
    if problems:
        raise SettingsError(listed(problems), where="settings", do="conf/base.toml lists every key")
    return settings


def build(cls: type[T], values: dict[str, Any], where: str, problems: list[str]) -> T:
    """An instance of a parameter dataclass from a TOML table; what does not fit is added to `problems`."""
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    problems += [f"{where}{name} is not a setting (known: {', '.join(names)})" for name in values if name not in names]
    arguments, before = {}, len(problems)
    for name in names:
        if name not in values:
            problems.append(f"{where}{name} is missing")
            continue
        arguments[name] = _converted(hints[name], values[name], f"{where}{name}", problems)
    if len(problems) > before:
        return typing.cast(T, None)
    try:
        return cls(**arguments)
    except ValueError as error:
        problems.append(f"{where.rstrip('.')}: {error}")
        return typing.cast(T, None)


def _converted(hint: Any, value: Any, where: str, problems: list[str]) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(typing.cast(type, hint), value, f"{where}.", problems)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(_converted(arguments[0], item, f"{where}[{n}]", problems) for n, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _converted(arguments[1], item, f"{where}.{key}", problems) for key, item in value.items()}
    if origin in (typing.Union, types.UnionType):
        hint = next(argument for argument in arguments if argument is not type(None))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wanted = origin or hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        problems.append(f"{where} must be {getattr(hint, '__name__', hint)}, is {value!r}")
    return value


def _read(path: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError("there is no such settings file", where=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"not valid TOML: {error}", where=str(path)) from None


def _parsed_override(text: str) -> dict[str, Any]:
    key, equals, _ = text.partition("=")
    try:
        if not equals or "." not in key:
            raise ValueError("no section.key=value")
        return tomllib.loads(text)
    except ValueError:
        raise SettingsError(
            "cannot be read",
            where=f"--set {text}",
            expected="section.key=VALUE with a TOML value, texts in quotes",
        ) from None


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both_tables else value
    return merged
