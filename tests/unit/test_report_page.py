"""The report's page: escaping, missing parts, arithmetic, charts, and nothing from outside."""

import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from freshet.report import numbers, words
from freshet.report.charts.calibration import calibration_svg
from freshet.report.content import Live, Missing, Quality, RunWindows
from freshet.report.page.rendering import rendered
from tests.report_data import AS_OF, CUT, empty_page, intake, live, quality, report_page, shoppers

EVIL = '<b onclick="x">&\'</b><script>alert(1)</script>'
PARTS = ("intake", "windows", "quality", "validation", "recipe", "live", "segments", "propensity", "shoppers", "models",
         "tables")  # fmt: skip


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
    known = live()
    page = report_page(
        source=EVIL,
        notes=(EVIL,),
        intake=replace(intake(), refused=((EVIL, 40_354),), event_names=((EVIL, 1),), flags=((EVIL, 1),)),
        quality=Quality(tuple(replace(f, model=EVIL + "/x") for f in quality("served").figures), "served"),
        live=replace(known, figures=()),
        segments=Missing(EVIL),
        shoppers=(evil,),
    )
    text = rendered(page)
    assert "<script" not in text
    assert "<b onclick" not in text
    assert text.count("&lt;b onclick") > 10
    Tags(text)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_reported_with_its_reason_and_the_rest_stays(part: str) -> None:
    text = rendered(report_page(**{part: Missing("twelve shoppers are too few")}))
    assert text.count("twelve shoppers are too few") == 1
    assert text.count("<section") == 9
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
    assert len(found) == 10
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
