"""Experiments from a TOML file. All problems are reported at once, with the line and the field of each."""

from itertools import pairwise
from typing import Any

from freshet.core.errors import InputError, listed
from freshet.experiments.experiment import BUCKETS, METRICS, Arm, Experiment, GuardRail
from freshet.sources.toml_sections import moment, number, placed, sections_of
from freshet.sources.toml_table import TomlTable, nearest

_SECTION, _WORD = "experiments", "experiment"


def experiments_of_toml(text: str, where: str) -> tuple[Experiment, ...]:
    """The experiments of a file with sections [[experiments]], in their order. `where` names the file in errors.

    Raises InputError with all problems, also where two that are enabled could have the same shopper at the same time.
    """
    problems: list[str] = []
    found = sections_of(text, _SECTION, where, problems)
    wrong: list[str] = []
    read = [_experiment(TomlTable(one, f"{_SECTION}[{n}]", wrong)) for n, one in enumerate(found)]
    wrong += _repeated(read, "name")
    if not wrong:
        wrong += _repeated(read, "salt") + _sharing(read)
    problems += [placed(problem, found, text, name=_SECTION, word=_WORD) for problem in wrong]
    if problems:
        raise InputError(listed(problems), where=where, do="The head of conf/experiments.toml explains every field")
    return tuple(read)


def _repeated(experiments: list[Experiment], field: str) -> list[str]:
    values = [getattr(one, field) for one in experiments]
    return [f"{_SECTION}[{n}].{field} '{value}' is the {field} of an earlier experiment"
            for n, value in enumerate(values) if value in values[:n]]  # fmt: skip


def _sharing(experiments: list[Experiment]) -> list[str]:
    return [
        f"{_SECTION}[{n}].buckets and its time overlap those of experiment '{other.name}', of the same layer"
        for n, one in enumerate(experiments) for other in experiments[:n]
        if one.enabled and other.enabled and one.overlaps(other)
    ]  # fmt: skip


def _experiment(table: TomlTable) -> Experiment:
    name, layer, metric = table.text("name"), table.text("layer"), table.text("metric", one_of=tuple(METRICS))
    salt = table.text("salt", name)
    for key, value in (("name", name), ("layer", layer), ("metric", metric)):
        if not value and (not table.has(key) or value == ""):
            table.problem(key, "is missing")
    # Between parts of the text whose hash decides; with one in a part two experiments could have the same text.
    for key, value in (("salt" if table.has("salt") else "name", salt), ("layer", layer)):
        if value and ":" in value:
            table.problem(key, f"must have no colon, is '{value}'")
    arms = _arms(table)
    starts, ends = moment(table, "starts"), moment(table, "ends")
    if not table.has("starts"):
        table.problem("starts", "is missing")
    if starts is not None and ends is not None and starts >= ends:
        table.problem("ends", "must be later than starts")
    first, end = _buckets(table)
    minimum_effect, enabled = number(table, "minimum_effect", least=0.0), table.flag("enabled", absent=True)
    guard_rails = _guard_rails(table)
    if any(rail.metric == metric for rail in guard_rails):
        table.problem("guard_rails", f"has {metric}, the metric that decides")
    table.close()
    given: dict[str, Any] = {"starts": starts, "ends": ends}
    return Experiment(
        name or "", layer or "", salt or "", arms, metric=metric or "", guard_rails=guard_rails, first_bucket=first,
        minimum_effect=minimum_effect or 0.0, end_bucket=end, enabled=enabled, **given,
    )  # fmt: skip


def _arms(table: TomlTable) -> tuple[Arm, ...]:
    inner = table.table("arms")
    if inner is None:
        if not table.has("arms"):
            table.problem("arms", "is missing: give two or more with their shares; the first is the control")
        return ()
    names = list(inner.values)
    if len(names) < 2:
        table.problem("arms", "must be two or more, the first of them the control")
        return ()
    # As wide as can be for all; in whole buckets.
    equal = BUCKETS // len(names) / BUCKETS
    arms = tuple(_arm(inner, name, equal) for name in names)
    if sum(round(arm.up_to * BUCKETS) for arm in arms) > BUCKETS:
        table.problem("arms", "may grow (up_to) to more than 1 in all")
    return arms


def _arm(table: TomlTable, name: str, equal: float) -> Arm:
    inner = table.table(name) if isinstance(table.raw(name), dict) else None
    if inner is None:
        share, up_to, where = number(table, name, least=1 / BUCKETS, most=1.0), equal, ""
    else:
        if not inner.has("share"):
            inner.problem("share", "is missing")
        share = number(inner, "share", least=1 / BUCKETS, most=1.0)
        up_to = number(inner, "up_to", least=1 / BUCKETS, most=1.0) or equal
        inner.close()
        where = ".share"
    if share is not None and up_to + 0.5 / BUCKETS < share <= 1.0:
        table.problem(f"{name}{where}", f"is {share:g} and may grow to {up_to:g} only: give it a larger up_to, and "
                      "the other arms theirs")  # fmt: skip
    return Arm(name, share or 0.0, up_to)


def _buckets(table: TomlTable) -> tuple[int, int]:
    value = table.raw("buckets")
    if value is None:
        return 0, BUCKETS
    is_pair = isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value)
    if not is_pair or not all(low < high for low, high in pairwise([-1, *value, BUCKETS + 1])):
        table.problem(
            "buckets", f"must be two rising whole numbers from 0 to {BUCKETS}, such as [0, 5000], is {value!r}"
        )
        return 0, BUCKETS
    return value[0], value[1]


def _guard_rails(table: TomlTable) -> tuple[GuardRail, ...]:
    inner = table.table("guard_rails")
    if inner is None:
        return ()
    rails = []
    for metric in inner.values:
        if metric not in METRICS:
            inner.problem(metric, f"is no metric{nearest(metric, METRICS)}; known: {', '.join(METRICS)}")
        rails.append(GuardRail(metric, number(inner, metric, least=0.0, most=1.0) or 0.0))
    return tuple(rails)
