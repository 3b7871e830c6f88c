"""Experiments from files: what is accepted, and one error with line, experiment and field for all that is not."""

from datetime import datetime

import pytest

from freshet.core.conf_files import conf_folder
from freshet.core.errors import InputError
from freshet.experiments.assignment import arm_of
from freshet.experiments.experiment import BUCKETS, Arm, GuardRail
from freshet.experiments.reading import experiments_of_toml

pytestmark = pytest.mark.unit

SHORT = """
[[experiments]]
name = "one"
layer = "lists"
arms = { control = 0.3, new = 0.5 }
starts = 2026-12-01
metric = "revenue"
"""


def test_all_fields_are_read() -> None:
    full = (
        SHORT
        + """salt = "again"
buckets = [100, 200]
ends = 2027-01-01T00:00:00+01:00
guard_rails = { conversion = 0.02, clicks_per_list = 0 }
minimum_effect = 0.01
enabled = false
"""
    )
    (one,) = experiments_of_toml(full, "e.toml")
    assert (one.name, one.layer, one.salt, one.metric) == ("one", "lists", "again", "revenue")
    assert one.arms == (Arm("control", 0.3, 0.5), Arm("new", 0.5, 0.5))
    assert (one.starts, one.ends) == (datetime(2026, 12, 1), datetime(2026, 12, 31, 23))
    assert (one.first_bucket, one.end_bucket, one.enabled, one.minimum_effect) == (100, 200, False, 0.01)
    assert one.guard_rails == (GuardRail("conversion", 0.02), GuardRail("clicks_per_list", 0.0))
    assert one.metrics == ("revenue", "conversion", "clicks_per_list")


def test_what_may_be_left_out() -> None:
    (one,) = experiments_of_toml(SHORT, "e.toml")
    assert (one.salt, one.first_bucket, one.end_bucket, one.ends) == ("one", 0, BUCKETS, None)
    assert (one.guard_rails, one.minimum_effect, one.enabled) == ((), 0.0, True)
    assert experiments_of_toml("", "e.toml") == ()


def test_arms_of_other_sizes_say_how_far_they_may_grow() -> None:
    text = SHORT.replace("0.3, new = 0.5", "{ share = 0.1, up_to = 0.8 }, new = { share = 0.05, up_to = 0.2 }")
    (one,) = experiments_of_toml(text, "e.toml")
    assert one.arms == (Arm("control", 0.1, 0.8), Arm("new", 0.05, 0.2))
    thirds = SHORT.replace("0.3, new = 0.5", "0.3333, b = 0.2, c = 0.1")
    assert [arm.up_to for arm in experiments_of_toml(thirds, "e.toml")[0].arms] == [0.3333] * 3


def test_the_example_is_read_and_its_hashes_are_right() -> None:
    text = conf_folder().joinpath("experiments.toml").read_text(encoding="utf-8")
    (one,) = experiments_of_toml(text, "conf/experiments.toml")
    # As the file says: bucket 4801 of the layer, and 4033 within the experiment, whose control has the first half.
    assert arm_of(one, "12345") == "control"
    for written in ('bucket("layer:lists:12345") = 4801', 'bucket("experiment:new ranker:12345") = 4033'):
        assert written in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"one"', '""', "line 3, experiment 1: name is missing"),
        ('layer = "lists"', "", "experiment 1 'one': layer is missing"),
        ('layer = "lists"', 'layer = "a:b"', "line 4, experiment 1 'one': layer must have no colon"),
        ('"one"', '"o:ne"', "line 3, experiment 1 'o:ne': name must have no colon"),
        ('metric = "revenue"', "", "metric is missing"),
        ('"revenue"', '"revenues"', r"line 7, .*must be one of .*\(did you mean revenue\?\)"),
        ("starts = 2026-12-01", "", "starts is missing"),
        ("2026-12-01", '"soon"', "line 6, experiment 1 'one': starts must be a date"),
        ("2026-12-01", "2026-12-01\nends = 2026-12-01", "line 7, .*ends must be later than starts"),
        ("control = 0.3, new", "control", "line 5, .*arms must be two or more"),
        ("{ control = 0.3, new = 0.5 }", "0.5", "arms must be a table"),
        ("arms = { control = 0.3, new = 0.5 }", "", "arms is missing"),
        ("0.3", "0.6", r"arms.control is 0.6 and may grow to 0.5 only"),
        ("0.3", "0", "arms.control must be 0.0001 or more, is 0.0"),
        ("0.3", '"a"', "arms.control must be a number"),
        ("0.3", "{ up_to = 0.2 }", "arms.control.share is missing"),
        ("0.3", "{ share = 0.2, up_to = 0.6 }", r"arms may grow \(up_to\) to more than 1 in all"),
        ("0.3", "{ share = 0.2, upto = 0.6 }", r"upto is not known here \(did you mean up_to\?\)"),
        ("metric =", "buckets = [0, 10001]\nmetric =", "line 7, .*buckets must be two rising whole numbers"),
        ("metric =", "buckets = [5, 5]\nmetric =", "buckets must be two rising"),
        ("metric =", "buckets = [0, 0.5]\nmetric =", "buckets must be two rising"),
        ("metric =", "guard_rails = { clics = 0.1 }\nmetric =", r"clics is no metric \(did you mean clicks\?\)"),
        ("metric =", "guard_rails = { revenue = 0.1 }\nmetric =", "guard_rails has revenue, the metric that decides"),
        ("metric =", "guard_rails = { clicks = 1.1 }\nmetric =", "guard_rails.clicks must be at most 1.0"),
        ("metric =", "minimum_effect = -1\nmetric =", "minimum_effect must be 0.0 or more"),
        ("metric =", 'ramp = 1\nmetric =', "ramp is not known here"),
        ("[[experiments]]", "[[experiment]]", r"experiment is not known here; known: \[\[experiments\]\]"),
        ("[[experiments]]", "[experiments]", "experiments must be a list of tables"),
        ("name =", "name", "not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    assert old in SHORT
    with pytest.raises(InputError, match=said) as caught:
        experiments_of_toml(SHORT.replace(old, new, 1), "e.toml")
    assert caught.value.where == "e.toml"


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InputError, match="4 problems") as caught:
        experiments_of_toml(SHORT.replace("0.3", "3").replace("revenue", "x") + SHORT.replace("0.3", "-1"), "e.toml")
    line = caught.value.line()
    assert "(2) line 5, experiment 1 'one': arms.control must be at most 1.0" in line
    assert "name 'one' is the name of an earlier experiment" in line


def test_experiments_that_could_share_a_shopper_are_refused() -> None:
    two = SHORT.replace('"one"', '"two"')
    with pytest.raises(InputError, match="experiment 2 'two': buckets and its time overlap those of experiment 'one'"):
        experiments_of_toml(SHORT + two, "e.toml")
    for apart in ('buckets = [0, 5000]\nsalt = "x"', "enabled = false"):
        other = two + ("buckets = [5000, 10000]\n" if "buckets" in apart else "")
        assert len(experiments_of_toml(SHORT + apart + other, "e.toml")) == 2
    assert len(experiments_of_toml(SHORT + two.replace("lists", "search"), "e.toml")) == 2


def test_two_experiments_of_one_salt_would_have_the_same_arms() -> None:
    with pytest.raises(InputError, match="salt 'one' is the salt of an earlier experiment"):
        experiments_of_toml(SHORT + SHORT.replace('"one"', '"two"').replace("lists", "x") + 'salt = "one"', "e.toml")
