"""Settings: every key of conf/base.toml, read into the parameter classes next to the code that uses them.

Code has no default values: they are in conf/base.toml, with unit and meaning of each key. An environment file
(conf/dev.toml, test.toml, prod.toml) and `--set section.key=value` override single keys.
"""

import dataclasses
import tomllib
import typing
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from freshet.cleaning.parameters import CleaningParameters
from freshet.core.conf_files import conf_folder
from freshet.core.errors import SettingsError, listed
from freshet.core.parameters import ParameterError
from freshet.evaluation.audits.parameters import AuditParameters
from freshet.evaluation.parameters import EvaluationParameters, GateParameters
from freshet.evaluation.protocols import ProtocolParameters
from freshet.evaluation.splitting import WindowParameters
from freshet.experiments.parameters import ExperimentParameters
from freshet.features.currency import MoneyParameters
from freshet.features.interactions import InteractionParameters
from freshet.models.factors.parameters import FactorisationParameters
from freshet.models.propensity.model import PropensityParameters
from freshet.models.segments.model import SegmentParameters
from freshet.ranking.extensions import ExtensionParameters, load_extensions
from freshet.ranking.parameters import ListParameters
from freshet.ranking.placements.parameters import PlacementParameters
from freshet.rules.parameters import RuleParameters
from freshet.runs.service_parameters import ServiceParameters, StreamParameters
from freshet.tables.maintenance.parameters import CompactionParameters
from freshet.tuning.parameters import ItemModelParameters, RankerParameters, SearchParameters

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """One field per section of the settings files."""

    cleaning: CleaningParameters
    money: MoneyParameters
    windows: WindowParameters
    interactions: InteractionParameters
    search: SearchParameters
    item_models: ItemModelParameters
    ranker: RankerParameters
    factorisation: FactorisationParameters
    lists: ListParameters
    placements: PlacementParameters
    rules: RuleParameters
    protocols: ProtocolParameters
    evaluation: EvaluationParameters
    gate: GateParameters
    experiments: ExperimentParameters
    audits: AuditParameters
    propensity: PropensityParameters
    segments: SegmentParameters
    stream: StreamParameters
    service: ServiceParameters
    compaction: CompactionParameters
    extensions: ExtensionParameters


def load_settings(environment: str | None = None, overrides: tuple[str, ...] = ()) -> Settings:
    """The settings from base.toml, then the environment's file, then the overrides. Loads the modules of
    extensions.modules.

    Raises SettingsError with all problems.
    """
    values = _read(conf_folder().joinpath("base.toml"))
    if environment is not None:
        values = _merged(values, _read(conf_folder().joinpath(f"{environment}.toml")))
    for override in overrides:
        values = _merged(values, _parsed_override(override))
    problems: list[str] = []
    # First, because extensions define sections of settings and names of terms.
    extensions = build(ExtensionParameters, values.get("extensions", {}), "extensions.", problems)
    if problems:
        raise SettingsError(listed(problems), where="settings", do="conf/base.toml lists every key")
    load_extensions(extensions.modules)
    settings = build(Settings, values, "", problems)
    if problems:
        raise SettingsError(listed(problems), where="settings", do="conf/base.toml lists every key")
    return settings


def build(cls: type[T], values: dict[str, Any], where: str, problems: list[str]) -> T:
    """An instance of a parameter class from a TOML table; invalid values are added to `problems`.

    A class with a method `sections` also has a field `models`, with the parameters of each section by name.
    """
    hints = typing.get_type_hints(cls)
    sections: dict[str, type] = getattr(cls, "sections", dict)()
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if sections:
        names.remove("models")
    known = [*names, *sections]
    problems += [f"{where}{name} is not a setting (known: {', '.join(known)})" for name in values if name not in known]
    problems += [f"{where}{name} is missing" for name in names if name not in values]
    before = len(problems)
    arguments: dict[str, Any] = {
        name: _converted(hints[name], values[name], f"{where}{name}", problems) for name in names if name in values
    }
    if sections:
        arguments["models"] = {
            name: _converted(section, values.get(name, {}), f"{where}{name}", problems)
            for name, section in sections.items()
        }
    if len(problems) > before or set(names) - set(arguments):
        return typing.cast(T, None)
    try:
        return cls(**arguments)
    except ParameterError as error:
        problems += [f"{where}{problem}" for problem in error.problems]
    except ValueError as error:
        problems.append(f"{where.rstrip('.')}: {error}")
    return typing.cast(T, None)


def _converted(hint: Any, value: Any, where: str, problems: list[str]) -> Any:
    """A TOML value as a parameter class expects it: tables as parameter classes, lists as tuples."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(typing.cast(type, hint), value, f"{where}.", problems)
    return tuple(value) if isinstance(value, list) else value


def _read(path: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            "there is no such settings file",
            where=str(path),
            expected="--env dev, test or prod, or a file of yours in this folder",
        ) from None
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
