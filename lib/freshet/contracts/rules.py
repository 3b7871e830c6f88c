"""Tables of merchandising rules: what a merchandiser has written, for whom it holds, and what it has changed."""

from pyspark.sql.types import IntegerType, LongType, MapType, StringType, TimestampType

from freshet.contracts.features import AS_OF, USER
from freshet.contracts.table import Column, TableContract

TEXT, WHOLE, COUNT, TIME = StringType(), IntegerType(), LongType(), TimestampType()

MERCHANDISING_RULES = TableContract(
    name="merchandising_rules",
    row="a merchandising rule",
    columns=(
        Column("position", WHOLE, "order of the rules, from 1: of two that contradict each other the first counts",
               required=True, minimum=1),
        Column("name", TEXT, "name of the rule", required=True),
        Column("definition", TEXT, "the rule as JSON, with the fields of a section of conf/rules.toml", required=True),
        Column("written_at", TIME, "wall time at which the rules were written", "UTC", required=True),
    ),
    key=("name",),
)  # fmt: skip

USER_ATTRIBUTES = TableContract(
    name="user_attributes",
    row="what rules ask of a shopper: the segment, and newest values of event properties; empty if no rule asks",
    columns=(
        AS_OF,
        USER,
        Column("attributes", MapType(TEXT, TEXT), "values by attribute", required=True),
    ),
    key=("user_id",),
)

RULE_EFFECTS = TableContract(
    name="rule_effects",
    row="what a rule that is in force has changed in lists of a sample of the shoppers for whom it holds",
    columns=(
        Column("name", TEXT, "name of the rule", required=True),
        Column("action", TEXT, "action of the rule", required=True),
        Column("measured_at", TIME, "wall time of the comparison", "UTC", required=True),
        Column("matching_items", COUNT, "items of the model that match the rule", "items", required=True, minimum=0),
        Column("lists", COUNT, "lists compared", "lists", required=True, minimum=0),
        Column(
            "items_before",
            COUNT,
            "matching items in these lists without rules; null: the rule is about all items",
            "items",
            minimum=0,
        ),
        Column("items_after", COUNT, "matching items in these lists with all rules", "items", minimum=0),
        Column("lists_before", COUNT, "lists with such an item without rules", "lists", minimum=0),
        Column("lists_after", COUNT, "lists with such an item with all rules", "lists", minimum=0),
    ),
    key=("name",),
)
