"""Step rules: writes the merchandising rules of a file to table `merchandising_rules`.

A running stream applies them after its next check of the table, the batch with the next `freshet recommend`.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from freshet.contracts import MERCHANDISING_RULES
from freshet.core.errors import InputError
from freshet.pipeline.merchandising.shopper_attributes import write_user_attributes
from freshet.rules.compiled import CompiledRules
from freshet.rules.reading import rules_of_toml
from freshet.rules.rule import Rule
from freshet.runs.job import Job
from freshet.runs.merchandising import NO_SHOPPERS, compiled_for
from freshet.sources.toml_sections import file_text
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.small_writes import replace_whole


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a TOML file. Raises InputError with all problems, each with its line and field."""
    return rules_of_toml(file_text(path, expected="a TOML file of rules"), str(path))


def _named(job: Job) -> Path:
    if job.input_path is None:
        raise InputError("rules are needed", do="Give --input RULES.toml")
    return job.input_path


def inputs(job: Job) -> dict[str, Any]:
    """The rules of the file, without its comments."""
    return {"rules": [rule.definition for rule in read_rules(_named(job))]}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Replaces the table by the rules of the file; records how many are in force, and those that match no item."""
    rules, now = read_rules(_named(job)), job.now()
    rows = [
        {"position": n, "name": rule.name, "definition": json.dumps(rule.definition, sort_keys=True), "written_at": now}
        for n, rule in enumerate(rules, 1)
    ]
    write_user_attributes(job, rules)
    compiled = compiled_for(job.warehouse, rules, NO_SHOPPERS, now, job.settings.rules)
    unmatched = without_items(compiled)
    table = pa.Table.from_pylist(rows, schema=arrow_schema(MERCHANDISING_RULES))
    replace_whole(job.warehouse, table, MERCHANDISING_RULES)
    about = f"; no item of the catalogue matches {', '.join(unmatched)}" if unmatched else ""
    return {"rules": len(rules), "in_force": len(compiled.rules), "without_items": unmatched, "about": about}


def without_items(compiled: CompiledRules) -> list[str]:
    """The names of rules in force that no item of the catalogue matches."""
    known = compiled.matches[:, :-1].getnnz(axis=1)
    return [rule.name for rule, count in zip(compiled.rules, known, strict=True) if not count]
