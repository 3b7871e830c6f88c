"""A report with everything in it: designed values of an invented shop."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from freshet.report.content import (
    AuditFigure,
    Audits,
    Batch,
    Bin,
    Figure,
    HistoryLine,
    Intake,
    Limit,
    Live,
    Missing,
    Model,
    Page,
    Place,
    Propensity,
    Quality,
    Recipe,
    RunWindows,
    Segment,
    Segments,
    Shopper,
    StepFacts,
    Table,
)
from freshet.report.experiment_content import Arm, ArmFigure, Earnings, Experiment, Experiments

SECTIONS = ["intake", "windows", "quality", "audits", "recipe", "live", "shoppers", "segments", "propensity",
            "experiments", "models"]  # fmt: skip
"""Of every report, in order."""

CUT = datetime(2024, 3, 1)
AS_OF = datetime(2024, 3, 31, 18, 20)

_MODELS = (
    ("served", 0.371),
    ("frequency/hl_180d", 0.338),
    ("user_knn_cosine/hl_30d", 0.321),
    ("item_knn_cosine/hl_30d", 0.312),
    ("popularity/last_30d", 0.141),
    ("popularity/all", 0.088),
)
_METRICS = {"ndcg": 1.0, "recall": 0.5, "precision": 0.6, "map": 0.55, "hit": 2.2, "coverage": 0.8,
            "diversity": 2.4, "novelty": 2.5, "popularity": 0.2, "exposure_gini": 1.9}  # fmt: skip
_NAMES = (
    "Tin of ginger biscuits",
    "Blue enamel mug",
    "Candle, beeswax",
    "Paper bunting 3 m",
    "Garden twine on a wooden reel",
    "Set of 6 picnic spoons",
    "Lantern, frosted glass, with a handle of rope and a small door",
    "Hand cream",
    "Postcard: harbour at dawn",
    "Wool blanket",
)


def report_page(**other: Any) -> Page:
    """The page with every part; `other` replaces parts."""
    page = Page(
        source="harbour_gifts",
        generated_at=datetime(2024, 4, 1, 6, 30),
        k=10,
        notes=("the catalogue goods.csv is not next to the input: items have no names from it",),
        intake=intake(),
        windows=RunWindows(datetime(2022, 3, 1, 9), datetime(2024, 1, 30), CUT, AS_OF, False, "purchase"),
        quality=quality("served"),
        validation=quality("challenger"),
        audits=audits(),
        recipe=recipe(),
        live=live(),
        segments=segments(),
        propensity=propensity(),
        shoppers=shoppers(),
        lists=5_878,
        experiments=experiments(),
        models=models(),
        tables=tables(),
        steps=steps(),
    )
    return replace(page, **other)


def empty_page() -> Page:
    """The page of a home in which nothing has run: every part is missing."""
    names = ("intake", "windows", "quality", "validation", "audits", "recipe", "live", "segments", "propensity",
             "shoppers", "experiments", "models", "tables")  # fmt: skip
    gone = {name: Missing(f"there is no {name} because of <reasons>") for name in names}
    return report_page(**gone, notes=(), steps=(), lists=None)


def intake() -> Intake:
    return Intake(
        files=1,
        raw_rows=1_067_371,
        accepted=1_027_017,
        refused=(("duplicate", 34_147), ("zero_price", 6_202), ("negative_price", 5)),
        event_names=(("purchase", 1_007_913), ("refund", 19_104)),
        flags=(("non_product", 5_889), ("outlier_price", 1_473)),
        limits=(("price", 0.0285471, 154.481), ("quantity", 0.00116, 13_769.3)),
        items=4_931,
    )


def quality(ours: str) -> Quality:
    """Figures of both tasks; new items are harder by a constant factor."""
    figures = []
    for task, scale in (("next_baskets", 1.0), ("new_items", 0.39)):
        for model, ndcg in _MODELS:
            name = ours if model == "served" else model
            for metric, factor in _METRICS.items():
                value = min(1.0, ndcg * scale * factor)
                ends = (
                    (None, None)
                    if metric in ("coverage", "exposure_gini")
                    else (value - 0.014 * scale, value + 0.014 * scale)
                )
                figures.append(Figure(task, name, metric, 10, value, *ends, 1_502))
    return Quality(tuple(figures), ours)


_GROUPS = {
    "activity": (("1 to 2", 402, 0.281), ("3 to 5", 371, 0.344), ("6 to 14", 380, 0.401), ("15 to 210", 349, 0.462)),
    "tenure": (("31 to 120", 380, 0.31), ("121 to 377", 374, 0.366), ("378 to 736", 748, 0.404)),
    "segment": (("loyal", 512, 0.452), ("regular", 430, 0.371), ("lost", 88, 0.204), ("unknown", 472, 0.318)),
    "Country": (
        ("United Kingdom", 1_311, 0.372),
        ("Germany, Austria and Switzerland", 121, 0.377),
        ("others", 70, 0.331),
    ),
}
_SHOWN = {
    "item_popularity": (("1 to 14", 0.021, 0.062), ("15 to 44", 0.122, 0.131), ("45 to 120", 0.271, 0.242),
                        ("121 to 1520", 0.586, 0.565)),
    "brand": (("Harbour", 0.318, 0.204), ("Lantern & Sons", 0.11, 0.155), ("others", 0.571, 0.64),
              ("unknown", 0.001, 0.001)),
}  # fmt: skip


def audits() -> Audits:
    """Two limits that are kept, as far as they can be judged, and one that is not."""
    figures = []
    for task, scale in (("next_baskets", 1.0), ("new_items", 0.39)):
        for audit, groups in _GROUPS.items():
            for group, users, ndcg in groups:
                value, half = ndcg * scale, 0.3 * scale / users**0.5
                figures += [AuditFigure(task, "served", metric, 10, factor * value, factor * (value - half),
                                        factor * (value + half), users, audit, group)
                            for metric, factor in (("ndcg", 1.0), ("hit", 1.8))]  # fmt: skip
        for audit, shares in _SHOWN.items():
            for group, shown, bought in shares:
                values = {"exposure_share": shown, "purchase_share": bought, "exposure_ratio": shown / bought}
                figures += [AuditFigure(task, "served", metric, 10, value, None, None, 1_502, audit, group)
                            for metric, value in values.items()]  # fmt: skip
        for model, lift in (("served", 0.352), ("popularity/all", 3.41), ("frequency/hl_180d", -0.004)):
            figures.append(
                AuditFigure(task, model, "popularity_lift", 10, lift, None, None, 1_498, "item_popularity", "all")
            )
    limits = (
        Limit("no group of 100 or more shoppers loses more than 0.02 NDCG@10 against the champion", (), ()),
        Limit("items with brand Harbour have at most 1.2 times their share of purchases (exposure_ratio@10 at most "
              "1.2)",
              ("next_baskets: of the first 10 places of 1502 lists, items with brand Harbour have 1.56 times their "
               "share of purchases, above the allowed 1.2 times (exposure_ratio@10 1.5588, allowed 1.2000)",), ()),
        Limit("items with seller small have at least 10 % of the places (exposure_share@10 at least 0.1)", (),
              ("there are no items with seller small, or no lists",)),
    )  # fmt: skip
    return Audits(tuple(figures), "served", "test", "next_baskets", limits, ())


def experiments() -> Experiments:
    """One that is decided, one with three arms that is not, and one with wrong sizes."""
    until = datetime(2024, 3, 31, 18)
    ranker = Experiment("new ranker", (
        Arm("control", 24_980, None, (), (ArmFigure("revenue", 23.412, None, None, None),
                                          ArmFigure("conversion", 0.2412, None, None, None))),
        Arm("ranker", 25_114, "ship",
            ("revenue differs by +0.812 (+0.2011 to +1.423): better than control",
             "conversion has not fallen by more than 5.00%"),
            (ArmFigure("revenue", 24.207, 0.812, 0.2011, 1.423),
             ArmFigure("conversion", 0.2431, 0.0019, -0.0061, 0.0099))),
    ), 1.0, until)  # fmt: skip
    front = Experiment("front page", (
        Arm("control", 4_011, None, (), (ArmFigure("clicks_per_list", 0.8211, None, None, None),)),
        Arm("popular first", 3_985, "stop",
            ("clicks_per_list differs by -0.1102 (-0.18 to -0.04): worse than control",),
            (ArmFigure("clicks_per_list", 0.7109, -0.1102, -0.1801, -0.0403),)),
        Arm("new first", 62, "continue", ("clicks_per_list cannot be compared yet: 62 shoppers in the smaller arm, 100 "
            "needed, with different values",), (ArmFigure("clicks_per_list", 0.9, 0.0789, None, None),)),
    ), 0.31, until)  # fmt: skip
    broken = Experiment("broken", (
        Arm("control", 12, None, (), (ArmFigure("orders", 0.29, None, None, None),)),
        Arm("b", 977, "invalid", ("numbers of shoppers (control 12, b 977) do not fit the shares",),
            (ArmFigure("orders", 0.31, 0.02, -0.1, 0.14),)),
    ), 1e-9, until)  # fmt: skip
    earned = tuple(
        Earnings(version, touch, lists, 8 * lists, lists // 3, orders * share, 31.7 * orders * share)
        for touch, share in (("last_touch", 1.0), ("shared_touch", 0.97))
        for version, lists, orders in (("1.0", 18_204, 1_702.0), ("2.0", 4_911, 533.5), (None, 12, 0.0))
    )
    return Experiments((ranker, front, broken), earned, "GBP")


def recipe() -> Recipe:
    return Recipe(
        policy="next_baskets",
        weights=(
            ("next_baskets", (("own_frequency_180d", 1.6), ("factors", 0.52), ("item_popular_14d", 0.31),
                              ("neighbours", 0.2), ("item_trend", -0.04))),
            ("new_items", (("factors", 0.8), ("item_popular_14d", 0.64), ("item_new_60d", 0.21))),
        ),
        facts=(("target event", "purchase"), ("factors (ALS)", "rank 32, 8 iterations, alpha 1, regularisation 0.1"),
               ("decay of item strengths", "half-life 90 days")),
    )  # fmt: skip


def live() -> Live:
    batches = tuple(
        Batch(number, CUT + timedelta(hours=12 * number + 11), 40 + 13 * number % 37, 40 + 13 * number % 37,
              0.42 + 0.013 * (7 * number % 31) + (0.9 if number == 17 else 0))
        for number in range(60)
    )  # fmt: skip
    figures = tuple(
        Figure("live", model, metric, 10, value, value - 0.02, value + 0.02, 486)
        for metric, before, after in (("ndcg", 0.241, 0.283), ("recall", 0.148, 0.171), ("hit", 0.62, 0.69))
        for model, value in (("before_fold_in", before), ("after_fold_in", after))
    )
    return Live(batches, 3_492, 118, 0.61, 0.82, figures)


def segments() -> Segments:
    return Segments(
        (
            Segment("loyal", 912, 18.2, 21.4, 9_412.5, 610.0, 171.0),
            Segment("regular", 1_480, 61.0, 7.9, 2_210.0, 502.3, 88.1),
            Segment("new", 702, 24.9, 1.8, 480.2, 41.0, 25.5),
            Segment("lost", 2_594, 391.7, 1.6, None, 470.4, 21.2),
        ),
        currency="GBP",
        silhouette=0.376,
    )


def propensity() -> Propensity:
    bins = tuple(
        Bin(n / 10, n / 10 + 0.1, 2_200 // (1 + n) ** 2 + 40, n / 10 + 0.04, n / 10 + 0.055) for n in range(10)
    )
    metrics = {
        "auc": 0.807, "average_precision": 0.647, "log_loss": 0.446, "base_rate_log_loss": 0.577, "brier": 0.143,
        "calibration_error": 0.022, "threshold": 0.34, "precision": 0.58, "recall": 0.67, "f1": 0.622,
        "accuracy": 0.79, "positive_rate": 0.263,
    }  # fmt: skip
    return Propensity(metrics, bins, CUT, 30, 5_688)


def shoppers() -> tuple[Shopper, ...]:
    kinds = ("A regular customer", "Someone who comes now and then", "A new customer", "First seen in the live days",
             "Not seen for a long time", "An anonymous visitor")  # fmt: skip
    return tuple(_shopper(number, kind) for number, kind in enumerate(kinds))


def _shopper(number: int, kind: str) -> Shopper:
    anonymous = "anonymous" in kind
    reasons = ("bought_before", "similar_to:i2", "taste", "popular_now")
    history = tuple(
        HistoryLine(AS_OF - timedelta(days=9 * place + number), "refund" if place == 3 else "purchase", f"i{place}",
                    _NAMES[(place + number) % len(_NAMES)], float(1 + 5 * place % 7), place < 3)
        for place in range(3 if number > 2 else 8)
    )  # fmt: skip
    places = tuple(
        Place(place + 1, f"i{place}", _NAMES[(3 * place + number) % len(_NAMES)], reasons[place % 4],
              _NAMES[2] if place % 4 == 1 else None, place in (1, 4))
        for place in range(10)
    )  # fmt: skip
    return Shopper(
        user_id=f"anon:visit-{number}" if anonymous else str(17_850 + number),
        kind=kind,
        segment=None if anonymous else "loyal",
        purchase_probability=None if anonymous else 0.82 - 0.15 * number,
        events=len(history) + 40,
        history=history,
        source="batch" if number > 3 else "stream",
        model_version="1.0",
        event_clock=AS_OF,
        places=places,
        had_batch_list=number != 3,
    )


def models() -> tuple[Model, ...]:
    return (
        Model("freshet-recommender", "1.0", True, True,
              ("next_baskets: ndcg@10 0.3712 over 1502 shoppers", "there is no champion yet: baselines alone decide")),
        Model("freshet-propensity", "2.0", False, False, ("log loss 0.4600 is worse than the champion's 0.4400",)),
        Model("freshet-segments", "1.0", True, True, ("silhouette 0.376 with 4 segments is at least 0.1",)),
    )  # fmt: skip


def tables() -> tuple[Table, ...]:
    return (
        Table("events", "one accepted event and item", 1_027_017, 4, 1),
        Table("quarantine", "one refused raw record", 40_354, 2, 1),
        Table("recommendations", "the list of a shopper from the last batch", 5_878, 2, 1),
        Table("recommendation_updates", "a list made by the stream", 3_492, 60, 61),
    )


def steps() -> tuple[StepFacts, ...]:
    return (
        StepFacts("Ingest raw records", 31.2, None),
        StepFacts("Train the recommender", 142.0, None),
        StepFacts("Train customer segments", 0.4, "no segments: 12 shoppers, and 50 are needed"),
    )
