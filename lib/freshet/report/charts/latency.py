"""The chart of a stream's latency: seconds of each micro-batch."""

from freshet.report.charts.svg import bar, chart, line, nice_top, text
from freshet.report.content import Live
from freshet.report.numbers import count, day, minute, seconds

_TOP, _HEIGHT, _AXIS, _WIDEST = 24, 130, 22, 6.0


def latency_svg(name: str, live: Live, *, title: str) -> str:
    """A bar per micro-batch, in order, whose height is the seconds until its lists could be read; with p50 and p95."""
    top = nice_top(max((batch.seconds for batch in live.batches), default=1.0))
    step = 100 / max(1, len(live.batches))
    width = min(0.7 * step, _WIDEST)
    bottom = _TOP + _HEIGHT
    parts = []
    for part in range(5):
        y = bottom - _HEIGHT * part / 4
        parts.append(line(0, y, 100, y, "grid"))
    parts.append(text("0", _TOP - 8, seconds(top), kind="tick"))
    for place, batch in enumerate(live.batches):
        height = max(1.0, _HEIGHT * batch.seconds / top)
        tooltip = (
            f"{minute(batch.event_clock)}: {seconds(batch.seconds)}, {count(batch.shoppers)} shoppers, "
            f"{count(batch.lists)} lists"
        )
        parts.append(bar(step * place + (step - width) / 2, bottom - height, width, round(height, 1), "bar", tooltip))
    for value, kind in ((live.seconds_p50, "p50"), (live.seconds_p95, "p95")):
        if value is not None:
            y = round(bottom - _HEIGHT * value / top, 1)
            parts.append(line(0, y, 100, y, f"mark {kind}"))
    if live.batches:
        parts.append(text("0", bottom + 16, day(live.batches[0].event_clock), kind="tick"))
        parts.append(text("100%", bottom + 16, day(live.batches[-1].event_clock), kind="tick", anchor="end"))
    described = (
        f"{count(len(live.batches))} micro-batches; half took at most {seconds(live.seconds_p50)}, "
        f"95 of 100 at most {seconds(live.seconds_p95)}"
    )
    return chart(name, bottom + _AXIS, title, described, parts)
