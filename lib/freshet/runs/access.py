"""Checks and records what a step reads. A step that reads something undeclared would seem up to date after that has
changed, so it is stopped instead."""

import dataclasses
from pathlib import Path
from typing import Any, cast

from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import TableContract
from freshet.core.errors import DeclarationError
from freshet.runs.settings import Settings
from freshet.runs.step import Step
from freshet.tables.warehouse import Warehouse

_ADVICE = "Add it to the declaration of the step"


class Access:
    """The access of one run of a step; `sections` and `tables` are the names that it has used so far."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.sections: set[str] = set()
        self.tables: set[str] = set()
        self._sections = {*step.sections, *step.also_sections}
        self._written = {table.name for table in step.writes}
        self._tables = {table.name for table in (*step.reads, *step.also_reads, *step.writes)}

    def use_section(self, name: str) -> None:
        """Records that a section of the settings is read. Raises DeclarationError if it is not declared."""
        if name not in self._sections:
            raise self._undeclared(f"reads section {name} of the settings", self._sections)
        self.sections.add(name)

    def use_table(self, contract: TableContract) -> None:
        """Records that a table is used. Raises DeclarationError if it is not declared."""
        if contract.name not in self._tables:
            raise self._undeclared(f"reads table {contract.name}", self._tables)
        self.tables.add(contract.name)

    def write_table(self, contract: TableContract) -> None:
        """Records that a table is written. Raises DeclarationError if it is not declared as written."""
        if contract.name not in self._written:
            raise self._undeclared(f"writes table {contract.name}", self._written)
        self.tables.add(contract.name)

    def values(self, settings: Settings) -> dict[str, Any]:
        """The sections read so far, with their values."""
        return {name: dataclasses.asdict(getattr(settings, name)) for name in sorted(self.sections)}

    def _undeclared(self, what: str, declared: set[str]) -> DeclarationError:
        names = ", ".join(sorted(declared)) or "none"
        return DeclarationError(what, where=f"step {self.step.name}", expected=f"one of {names}", do=_ADVICE)


class _SettingsView:
    """The settings as a step sees them: every section that is read is recorded and must be declared."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self._settings, self._access = settings, access

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._settings, name)
        self._access.use_section(name)
        return value


def settings_view(settings: Settings, access: Access) -> Settings:
    """`settings` restricted to the sections that a step declares."""
    return cast(Settings, _SettingsView(settings, access))


class StepWarehouse(Warehouse):
    """The tables of a home, restricted to those that a step declares. Engines other than Spark use a table's `path`."""

    def __init__(self, spark: SparkSession, folder: Path, access: Access) -> None:
        super().__init__(spark, folder)
        self._access = access

    def path(self, contract: TableContract) -> str:
        self._access.use_table(contract)
        return super().path(contract)

    def exists(self, contract: TableContract) -> bool:
        self._access.use_table(contract)
        return super().exists(contract)

    def replace(
        self, df: DataFrame, contract: TableContract, *, where: str | None = None, keys_are_unique: bool = False
    ) -> None:
        self._access.write_table(contract)
        super().replace(df, contract, where=where, keys_are_unique=keys_are_unique)

    def append(self, df: DataFrame, contract: TableContract) -> None:
        self._access.write_table(contract)
        super().append(df, contract)
