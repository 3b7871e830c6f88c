"""Checks for damaged tables before a step or the stream uses them, with advice on what to do."""

from collections.abc import Iterable

from freshet.contracts import (
    EVENTS,
    ITEMS_HISTORY,
    QUARANTINE,
    RECOMMENDATION_UPDATES,
    RECOMMENDATIONS,
    STREAM_METRICS,
    USER_FACTORS,
    TableContract,
)
from freshet.core.records import read_record
from freshet.runs.home import Home
from freshet.runs.registry import all_steps
from freshet.tables.damage import check_undamaged

OF_THE_SERVICE = (
    EVENTS, QUARANTINE, ITEMS_HISTORY, USER_FACTORS, RECOMMENDATIONS, RECOMMENDATION_UPDATES, STREAM_METRICS,
)  # fmt: skip
"""Tables that any part of the service reads or writes."""


def check_tables(home: Home, contracts: Iterable[TableContract]) -> None:
    """Raises StateError, with the file and a remedy, for the first of these tables that is damaged.

    Tables that do not exist are skipped. No data file is opened.
    """

    def remedy(contract: TableContract) -> str:
        records = {step: read_record(home.steps, step.name) or {} for step in all_steps()}
        writers = [step.command for step, record in records.items() if contract.name in record.get("wrote", {})]
        again = " and ".join(f"`freshet {command}`" for command in dict.fromkeys(writers)) or "`freshet stream`"
        lost = "; events that only a stream ingested are lost then" if contract is EVENTS else ""
        folder = home.warehouse / contract.name
        return f"Restore {folder} from a copy, or remove this folder and run {again} again{lost}"

    check_undamaged(home.warehouse, contracts, remedy=remedy)
