"""The report's page: escaping, missing parts, arithmetic, charts, and nothing from outside."""

import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from freshet.report import numbers, words
from freshet.report.charts.calibration import calibration_svg
from freshet.report.charts.effects import effects_svg
from freshet.report.content import Limit, Live, Missing, Quality, RunWindows
from freshet.report.experiment_content import Experiments
from freshet.report.page.rendering import rendered
from tests.report_data import (
    AS_OF,
    CUT,
    audits,
    empty_page,
    experiments,
    intake,
    live,
    quality,
    report_page,
    shoppers,
)  # fmt: skip

EVIL = '<b onclick="x">&\'</b><script>alert(1)</script>'
PARTS = ("intake", "windows", "quality", "validation", "audits", "recipe", "live", "segments", "propensity", "shoppers",
         "experiments", "models", "tables")  # fmt: skip


class Tags(HTMLParser):
    """Every tag with its attributes, and whether tags are closed in order."""

    VOID = ("meta", "link", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"


def plain(text: str) -> str:
    """The text without tags, spaces made one."""
    return " ".join(re.sub(r"<[^>]+>", " ", text.replace("\N{NO-BREAK SPACE}", " ")).split())


def test_texts_from_the_data_are_escaped_everywhere() -> None:
    one = shoppers()[0]
    line = replace(one.history[0], item_name=EVIL, event_name=EVIL)
    place = replace(one.places[0], item_name=EVIL, reason="similar_to:i", reason_item=EVIL)
    evil = replace(one, user_id=EVIL, kind=EVIL, segment=EVIL, model_version=EVIL, history=(line,), places=(place,))
    known, looked_at, tried = live(), audits(), experiments()
    (arm, *_) = tried.experiments[0].arms
    evil_arm = replace(arm, name=EVIL, decision=EVIL, reasons=(EVIL,),
                       figures=(replace(arm.figures[0], metric=EVIL, difference=1.0),))  # fmt: skip
    page = report_page(
        source=EVIL,
        notes=(EVIL,),
        intake=replace(intake(), refused=((EVIL, 40_354),), event_names=((EVIL, 1),), flags=((EVIL, 1),)),
        quality=Quality(tuple(replace(f, model=EVIL + "/x") for f in quality("served").figures), "served"),
        live=replace(known, figures=()),
        segments=Missing(EVIL),
        audits=replace(
            looked_at,
            figures=tuple(replace(f, audit=f.audit + EVIL, group=EVIL, model=f.model) for f in looked_at.figures),
            limits=(Limit(EVIL, (EVIL,), (EVIL,)),),
            left_out=((EVIL, EVIL),),
        ),
        experiments=Experiments(
            (replace(tried.experiments[0], name=EVIL, arms=(replace(arm, name=EVIL), evil_arm)),),
            (replace(tried.earnings[0], version=EVIL),),
            EVIL,
        ),
        shoppers=(evil,),
    )
    text = rendered(page)
    assert "<script" not in text
    assert "<b onclick" not in text
    assert text.count("&lt;b onclick") > 40
    Tags(text)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_reported_with_its_reason_and_the_rest_stays(part: str) -> None:
    text = rendered(report_page(**{part: Missing("twelve shoppers are too few")}))
    assert text.count("twelve shoppers are too few") == 1
    assert text.count("<section") == 11
    assert Tags(text).open == []


def test_a_page_without_any_part_gives_every_reason() -> None:
    text = rendered(empty_page())
    assert all(f"there is no {part} because of &lt;reasons&gt;" in text for part in PARTS)
    assert "<svg" not in text


def test_the_arithmetic_of_the_input_is_shown() -> None:
    text = plain(rendered(report_page()))
    assert "Of 1,067,371 records, 1,027,017 were accepted and 40,354 refused." in text
    assert "1,027,017 accepted + 40,354 refused = 1,067,371 read" in text
    assert "a price of zero zero_price 6,202 0.6 %" in text
    assert "Together 40,354 3.8 %" in text


def test_no_records_at_all_divide_by_nothing() -> None:
    none = replace(intake(), raw_rows=0, accepted=0, refused=(), event_names=(), flags=(), limits=())
    assert "None was refused." in rendered(report_page(intake=none))


def test_the_page_asks_for_nothing_from_outside_and_runs_nothing() -> None:
    text = rendered(report_page())
    tags = Tags(text).tags
    assert {tag for tag, _ in tags} & {"script", "img", "iframe", "object", "embed", "base"} == set()
    links = [value or "" for _, attributes in tags for name, value in attributes.items() if name in ("href", "src")]
    assert [link for link in links if not link.startswith("#") and link != "data:,"] == []
    without_names = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert re.search(r"https?:|//\w|@import|url\(", without_names) is None
    assert "default-src 'none'" in text


def test_charts_are_well_formed_xml_with_title_and_description() -> None:
    found = re.findall(r"<svg.*?</svg>", rendered(report_page()), flags=re.S)
    assert len(found) == 18
    space = "{http://www.w3.org/2000/svg}"
    for svg in found:
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img"
        assert root.findtext(f"{space}title")
        assert root.findtext(f"{space}desc")


def test_ids_are_unique_and_links_lead_to_them() -> None:
    tags = Tags(rendered(report_page())).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"] for tag, a in tags if tag == "a"} <= {f"#{name}" for name in ids}


def test_tables_name_their_columns_and_rows() -> None:
    tags = Tags(rendered(report_page())).tags
    heads = [attributes.get("scope") for tag, attributes in tags if tag == "th"]
    assert set(heads) == {"col", "row"}


def test_only_the_line_of_generation_differs_between_two_times() -> None:
    first, second = (rendered(report_page(generated_at=datetime(2024, 4, day))).splitlines() for day in (1, 2))
    different = [line for line, other in zip(first, second, strict=True) if line != other]
    assert different == ['<p class="made">Report made on 1 Apr 2024, 00:00 UTC</p>']
    assert rendered(report_page()) == rendered(report_page())


def test_quality_is_compared_with_the_best_plain_method_also_when_that_is_better() -> None:
    text = plain(rendered(report_page()))
    best = "“What the shopper takes most, half-life 180 days”"
    assert f"Freshet reaches 0.371; the best plain method, {best}, 0.338 (+10 %)." in text
    worse = tuple(replace(f, value=0.3) if f.model == "served" and f.metric == "ndcg" else f
                  for f in quality("served").figures)  # fmt: skip
    assert "Freshet reaches 0.300" in (text := plain(rendered(report_page(quality=Quality(worse, "served")))))
    assert "0.338 (−11 %)" in text


def test_figures_without_value_or_interval_are_drawn_as_far_as_known() -> None:
    figures = quality("served").figures
    bare = tuple(
        replace(f, low=None, high=None, value=None if f.model == "popularity/all" else f.value) for f in figures
    )
    text = rendered(report_page(quality=Quality(bare, "served"), live=replace(live(), figures=())))
    assert "No shopper came back after the stream" in text
    assert 'class="interval' not in re.findall(r'id="quality-next-baskets-title".*?</svg>', text, flags=re.S)[0]


def test_what_lists_show_is_a_table_for_each_task_where_it_was_measured() -> None:
    page = rendered(report_page())
    assert page.count("Gini of exposure@10") == 2
    assert "What the lists show" in page
    hits_alone = tuple(figure for figure in quality("served").figures if figure.metric != "diversity")
    assert "Gini of exposure@10" not in rendered(report_page(quality=Quality(hits_alone, "served")))


def test_the_quality_of_each_group_is_drawn_next_to_that_of_all_shoppers() -> None:
    page = rendered(report_page())
    activity = plain(re.findall(r"<svg[^>]*audit-activity-title.*?</svg>", page, flags=re.S)[0])
    assert (
        activity.index("All shoppers 0.371") < activity.index("1 to 2 (402) 0.281") < activity.index("15 to 210 (349)")
    )
    country = plain(re.findall(r"<svg[^>]*audit-Country-title.*?</svg>", page, flags=re.S)[0])
    assert "all others (70) 0.331" in country
    # Without the figures of all shoppers the groups remain.
    alone = rendered(report_page(quality=Missing("gone")))
    assert "1 to 2 (402) 0.281" in plain(alone)
    assert "All shoppers" not in alone


def test_what_lists_show_is_compared_with_purchases_and_with_taste() -> None:
    text = plain(rendered(report_page()))
    assert (
        "The listed items are 35 % more popular than what the same shoppers took before (popularity lift +0.352)."
        in text
    )
    assert "Harbour 32 % · 20 %" in text
    assert "Brand: Harbour 32 % 20 % 1.559" in text
    assert "Best sellers, of all time +3.410 1,498" in text


def test_limits_are_shown_with_what_they_refused() -> None:
    text = plain(rendered(report_page()))
    assert "No group of 100 or more shoppers loses more than 0.02 NDCG@10 against the champion kept" in text
    assert "(exposure_ratio@10 at most 1.2) refused the newest model next_baskets: of the first 10 places" in text
    assert "at least 0.1) not judged everywhere there are no items with seller small" in text
    free = plain(rendered(report_page(audits=replace(audits(), limits=(), left_out=(("segment", "none <yet>"),)))))
    assert "No limit is set, so these figures refuse no model." in free
    assert "Group of shoppers: not available. None &lt;yet&gt;." in free


def test_audits_of_the_gate_alone_say_so_and_have_the_gate_s_figures_of_all_shoppers() -> None:
    figures = tuple(replace(f, model="challenger") if f.model == "served" else f for f in audits().figures)
    of_gate = replace(audits(), figures=figures, ours="challenger", split="validation")
    text = plain(rendered(report_page(audits=of_gate, quality=Missing("no test days"))))
    assert "So the lists of the validation days were looked at group by group" in text
    assert "All shoppers 0.371" in text


def test_experiments_are_shown_with_arms_sizes_effects_and_decisions() -> None:
    text = plain(rendered(report_page()))
    assert "The sizes of the arms fit their shares (p 0.31)." in text
    assert "The arms have the wrong sizes (p < 0.001)" in text.replace("&lt;", "<")
    # 0.812 of 23.412.
    assert "revenue per shopper +3.5 %" in text
    assert "popular first: clicks per list −13 %" in text
    assert "ranker ship it revenue differs by +0.812" in text
    row = "ranker revenue per shopper 25,114 24.21 +0.812 +0.2011 to +1.423 ship it"
    assert row in text
    assert "new first clicks per list 62 0.9 +0.0789 – not decided yet" in text
    # Nothing is drawn that cannot be believed.
    assert len(re.findall(r"effects-\d-title\"", rendered(report_page()))) == 2


def test_effects_lie_on_the_side_of_zero_that_they_are_on() -> None:
    drawn = effects_svg("e", [("up", 0.04, 0.02, 0.06), ("down", -0.08, None, None), ("same", 0.0, -0.01, 0.01)],
                        title="t")  # fmt: skip
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    dots = [(one.attrib["cx"], one.attrib["class"]) for one in root.iter(f"{space}circle")]
    # The axis reaches from -8 to 8 percent.
    assert dots == [("75.00%", "dot ours"), ("0.00%", "dot"), ("50.00%", "dot")]
    lines = [
        (one.attrib["x1"], one.attrib["x2"]) for one in root.iter(f"{space}line") if "interval" in one.attrib["class"]
    ]
    assert lines == [("62.50%", "87.50%"), ("43.75%", "56.25%")]


def test_what_lists_have_earned_is_a_row_for_each_model_version() -> None:
    text = plain(rendered(report_page()))
    assert "1.0 18,204 8 0.3333 0.0935 2.964 53,953" in text
    assert "lists of others 12 8 0.3333 0 0 0.0" in text
    assert "Revenue per list, GBP" in text
    bare = plain(rendered(report_page(experiments=Experiments(experiments().experiments, (), None))))
    assert "No event names a list, so nothing can be said of what lists have earned." in bare
    unmeasured = plain(rendered(report_page(experiments=Experiments((), experiments().earnings, None))))
    assert "No experiment is enabled." in unmeasured
    assert "Revenue per list Revenue" in unmeasured


def test_a_live_part_without_times_is_shown() -> None:
    bare = Live(live().batches[:1], 40, 0, None, None, ())
    assert "within –" in plain(rendered(report_page(live=bare)))


def test_a_run_without_live_days_says_so() -> None:
    windows = RunWindows(None, datetime(2024, 1, 30), CUT, CUT, True, "view_item")
    text = plain(rendered(report_page(windows=windows)))
    assert "No days were held out for a test." in text
    assert "Learned from the oldest event to 30 Jan 2024" in text
    assert "shares of the span" in text


def test_calibration_dots_lie_where_prediction_and_outcome_meet() -> None:
    rows = [
        {"n": 4, "mean_predicted": 0.0, "observed_share": 1.0},
        {"n": 1, "mean_predicted": 1.0, "observed_share": 0.0},
    ]
    root = ElementTree.fromstring(calibration_svg(rows, title="a < b"))
    circles = [element.attrib for element in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert [(c["cx"], c["cy"], c["r"]) for c in circles] == [("44.0", "12.0", "12.0"), ("308.0", "276.0", "7.5")]


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (numbers.count(1_067_371), "1,067,371"),
        (numbers.count(None), "–"),
        (numbers.share(0.962), "96 %"),
        (numbers.share(0.0378), "3.8 %"),
        (numbers.share(0.9996), "100.0 %"),
        (numbers.share(0.0002), "< 0.1 %"),
        (numbers.share(0.0), "0.0 %"),
        (numbers.seconds(0.384), "0.38 s"),
        (numbers.seconds(262), "4 min 22 s"),
        (numbers.times_better(0.377, 0.34), "+11 %"),
        (numbers.times_better(0.3, 0.4), "−25 %"),
        (numbers.times_better(0.3, 0.0), ""),
        (numbers.span(CUT, AS_OF), "31 days"),
        (numbers.span(CUT, CUT.replace(hour=2)), "2.0 hours"),
        (numbers.amount(9_412.5), "9,412"),
        (numbers.compared(0.352), "35 % more"),
        (numbers.compared(-0.1), "10 % less"),
        (numbers.compared(-0.004), "as"),
        (numbers.compared(None), "–"),
        (numbers.precise(0.04117), "0.04117"),
        (numbers.precise(1_204.4), "1,204"),
        (numbers.precise(None), "–"),
        (numbers.change(-0.1102), "−0.1102"),
        (numbers.change(0.5), "+0.5"),
        (numbers.change_interval(-0.2, 0.1), "−0.2 to +0.1"),
        (numbers.change_interval(None, 0.1), "–"),
        (numbers.lift(0.006065), "+0.006"),
        (numbers.lift(-0.0001), "+0.000"),
        (numbers.probability(0.0004), "< 0.001"),
        (numbers.probability(0.312), "0.31"),
        (words.audit("tenure"), "Time with the shop"),
        (words.audit("Country"), "Country"),
        (words.audit_meaning("Country"), ""),
        (words.group("others"), "all others"),
        (words.decision(None), "control"),
        (words.experiment_metric("revenue_per_list"), "revenue per list"),
        (words.refusal("required_price"), "the price is not as the source requires"),
        (words.refusal("missing_price"), "no price"),
        (words.refusal("of_a_new_kind"), "of a new kind"),
        (words.model("popularity/last_30d"), "Best sellers, last 30 days"),
        (words.model("frequency/all"), "What the shopper takes most, no decay"),
        (words.term("own_frequency_180d"), "How often the shopper took it, half-life 180 days"),
        (words.term("item_popular_14d"), "Popular in the last 14 days"),
        (words.term("of_a_new_kind"), "Of a new kind"),
        (words.reason("similar_to:85123A", "Heart lantern"), "similar to Heart lantern"),
        (words.reason("similar_to:85123A"), "similar to 85123A"),
        (words.segment("lost 2"), "not seen for a long time, never came often"),
        (words.segment("unheard of"), ""),
    ],
)
def test_numbers_and_codes_read_as_people_expect(shown: str, text: str) -> None:
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == text
