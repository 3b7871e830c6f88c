"""The Arrow schema of a table's rows, and the check of Arrow rows by the contract's rules."""

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import TableContract
from freshet.contracts.row_rules import arrow_problems
from freshet.core.errors import ContractError, listed


def arrow_schema(contract: TableContract) -> pa.Schema:
    """The Arrow schema of a table's rows."""
    return to_arrow_schema(contract.schema, timezone="UTC")


def checked(rows: pa.Table, contract: TableContract) -> pa.Table:
    """The rows in the types of the contract. Raises ContractError, listing every broken rule."""
    problems = arrow_problems(rows, contract)
    if problems:
        raise ContractError(listed(problems), where=f"table {contract.name}", do="Nothing was written")
    return rows.cast(arrow_schema(contract))
