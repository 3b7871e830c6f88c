"""Parameters of the audits."""

from pydantic import Field, field_validator

from freshet.core.parameters import parameters

ACTIVITY, TENURE = "activity", "tenure"
"""Audits that every shop has: target events of a shopper before the clock, and days since the first known event."""


@parameters
class AuditParameters:
    """For which groups of shoppers the quality of lists is given, and what no group may lose."""

    attributes: tuple[str, ...] = Field(
        description="properties of events by which shoppers are grouped, the newest value counts; [] for none"
    )
    groups: int = Field(ge=1, description="groups of activity and of tenure, of about equal size")
    most_values: int = Field(
        ge=1, description="most values of an attribute with a group of their own; the rest: others"
    )
    k: int = Field(ge=1, description="list length that is audited; one of evaluation.ks")
    min_users: int = Field(ge=1, description="groups of fewer shoppers refuse no challenger")
    max_group_loss: float = Field(
        ge=0, le=1, description="NDCG that no group may certainly lose more of against the champion; 1: no limit"
    )

    @field_validator("attributes")
    @classmethod
    def _are_free(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names) or {ACTIVITY, TENURE} & set(names) or not all(name.strip() for name in names):
            raise ValueError(f"must hold different names that are neither empty nor {ACTIVITY} or {TENURE}")
        return names
