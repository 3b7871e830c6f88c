"""Plots that training runs keep: files of their own, with all that was tried."""

import re
from xml.etree import ElementTree

import pytest

from freshet.report.charts.training import blend_svg, silhouettes_svg, trials_svg

pytestmark = pytest.mark.unit

SVG = "{http://www.w3.org/2000/svg}"

TRIALS = [
    {"kind": "factors", "rank": 64, "reg_param": 0.1, "ndcg": {"sum": 0.25}},
    {"kind": "next_items", "decay": 0.5, "ndcg": {"next_baskets": 0.2, "new_items": 0.1}},
    {"kind": "linear_items", "reg_param": 1.0, "ndcg": {"next_baskets": None}},
    {"kind": "next_baskets", "weights": {"factors": 1.0}, "ndcg": {"next_baskets": 0.3}},
]

PLOTS = {
    "silhouettes": silhouettes_svg({3: 0.4, 2: 0.5}, chosen=2),
    "trials": trials_svg(TRIALS),
    "blend": blend_svg({"next_baskets": {"factors": 0.5, "item_trend": -1.0}, "new_items": {}}),
    "nothing tried": trials_svg([]),
}


def texts(drawn: str) -> list[str]:
    found = ElementTree.fromstring(drawn).iter(f"{SVG}text")
    return [element.text or "" for element in found]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_file_of_its_own_with_all_colours_that_it_uses(name: str) -> None:
    root = ElementTree.fromstring(PLOTS[name])
    assert root.tag == f"{SVG}svg"
    style = root.findtext(f"{SVG}style") or ""
    assert set(re.findall(r"var\((--[a-z-]+)\)", style)) <= set(re.findall(r"(--[a-z-]+):", style))
    assert ".chart .bar" in style


def test_silhouettes_are_ordered_by_number_and_the_chosen_one_is_named() -> None:
    assert texts(PLOTS["silhouettes"]) == ["2 segments", "0.500", "chosen", "3 segments", "0.400"]


def test_trials_of_models_are_listed_in_order_with_their_settings_and_those_of_blends_are_not() -> None:
    assert texts(PLOTS["trials"]) == [
        "factors", "0.250", "rank 64, reg_param 0.1", "next_items", "0.300", "decay 0.5",
    ]  # fmt: skip


def test_weights_are_listed_by_policy_the_heaviest_first() -> None:
    assert texts(PLOTS["blend"]) == ["item_trend", "-1", "next_baskets", "factors", "0.5", "next_baskets"]
