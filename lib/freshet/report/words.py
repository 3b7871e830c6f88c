"""Descriptions of codes and short names in words that a shop owner understands."""

from freshet.core.errors import StateError
from freshet.ranking.terms.reason import BUILT_IN, Reason

_REFUSALS = {
    "duplicate": "the same record twice",
    "broken_record": "the line cannot be read",
    "missing_time": "no time",
    "bad_time": "a time that cannot be read",
    "implausible_time": "a time too long ago to be plausible",
    "future_time": "a time in the future",
    "bad_number": "a number that cannot be read",
    "bad_value": "a value that cannot be read",
    "unknown_event": "an event without a name in the mapping",
    "missing_shopper": "no shopper, not even an anonymous one",
    "reserved_user_id": "a customer id that is reserved",
    "missing_item": "no item",
    "negative_price": "a price below zero",
    "negative_quantity": "a quantity below zero that is no refund",
}
_EVENTS = {
    "purchase": "bought",
    "refund": "returned",
    "add_to_cart": "put into the cart",
    "remove_from_cart": "took out of the cart",
    "add_to_wishlist": "put on the wish list",
    "view_item": "looked at",
    "select_item": "clicked on",
    "begin_checkout": "started the checkout",
    "view_item_list": "saw in a list",
}
_FLAGS = {
    "outlier_quantity": "unusual quantity",
    "outlier_price": "unusual price",
    "non_product": "not a product (postage, fees, tests)",
    "late": "arrived late",
    "bot": "looks like a machine",
}
_TASKS = {"next_baskets": "Next baskets", "new_items": "New items"}
_TASK_QUESTIONS = {
    "next_baskets": "What will a shopper take next, including items they had before?",
    "new_items": "Which items that they never had will a shopper take next?",
}
_PROTOCOLS = {
    "time_split": "Judged: all that known shoppers took in these days, from what was known before the first of them.",
    "leave_last_basket": "Judged: the last basket of each shopper in these days, from all earlier visits.",
    "next_in_session": "Judged: the last basket or click of each shopper in these days, from everything before it.",
}
_FAMILIES = {
    "popularity": "Best sellers",
    "frequency": "What the shopper takes most",
    "item_knn_cosine": "Similar items (cosine)",
    "item_knn_pearson": "Similar items (Pearson)",
    "user_knn_cosine": "Similar shoppers (cosine)",
    "user_knn_pearson": "Similar shoppers (Pearson)",
}
_MODELS = {
    "served": "Freshet",
    "served_with_rules": "Freshet, with the shop's rules",
    "placement": "Placement",
    "challenger": "Freshet",
    "champion": "Previous champion",
    "freshet-recommender": "Recommendations",
    "freshet-propensity": "Purchase probability",
    "freshet-segments": "Segments",
}
_AUDITS = {
    "activity": ("Activity", "target events so far"),
    "tenure": ("Time with the shop", "days since the first event"),
    "segment": ("Group of shoppers", "as known when the lists were made"),
    "item_popularity": ("Popularity of items", "shoppers who took the item"),
    "category": ("Category", "its first level"),
    "brand": ("Brand", ""),
}
_GROUPS = {"unknown": "not known", "others": "all others"}
_METRICS = {
    "conversion": "share of shoppers who bought",
    "orders": "orders per shopper",
    "revenue": "revenue per shopper",
    "clicks": "clicks per shopper",
    "revenue_per_list": "revenue per list",
    "clicks_per_list": "clicks per list",
}
_DECISIONS = {
    "ship": "ship it",
    "stop": "stop it",
    "continue": "not decided yet",
    "invalid": "not to be believed",
}
_SEGMENTS = {
    "loyal": "come often, came recently, spend a lot",
    "regular": "come somewhat more often and more recently than average",
    "big spenders": "come rarely, spend a lot",
    "new": "came for the first time recently",
    "occasional": "come now and then, known for a long time",
    "lapsing": "used to come often, not seen recently",
    "one-time": "hardly more than one visit, some time ago",
    "lost": "not seen for a long time, never came often",
}


def refusal(code: str) -> str:
    """A reason_code of quarantine in words."""
    if code in _REFUSALS:
        return _REFUSALS[code]
    kind, _, field = code.partition("_")
    phrases = {"zero": f"a {_plain(field)} of zero", "missing": f"no {_plain(field)}"}
    return phrases.get(
        kind, f"the {_plain(field)} is not as the source requires" if kind == "required" else _plain(code)
    )


def event(name: str) -> str:
    """A GA4 event name as what the shopper did."""
    return _EVENTS.get(name, _plain(name))


def flag(name: str) -> str:
    """A flag of events in words."""
    return _FLAGS.get(name, _plain(name))


def task(name: str) -> str:
    """The short name of a recommendation task."""
    return _TASKS.get(name, _plain(name).capitalize())


def task_question(name: str) -> str:
    """The question of a task; empty for an unknown one."""
    return _TASK_QUESTIONS.get(name, "")


def model(name: str) -> str:
    """A model, or a baseline such as frequency/hl_180d, in words."""
    family, _, strength = name.partition("/")
    name = _MODELS.get(family) or _FAMILIES.get(family) or _plain(family).capitalize()
    return f"{name}, {_strength(strength, family)}" if strength else name


def _strength(name: str, family: str) -> str:
    kind, _, days = name.rpartition("_")
    number = days.removesuffix("d")
    if kind == "hl":
        return f"half-life {number} days"
    if kind == "last":
        return f"last {number} days"
    return ("of all time" if family == "popularity" else "no decay") if name == "all" else _plain(name)


def term(name: str) -> str:
    """A term of the score in words, as the term describes itself; its name if the term no longer exists."""
    # Imported here: terms import the kernel compiler, which most commands need not wait for.
    from freshet.ranking.terms.registry import term_of

    try:
        return term_of(name).describe(name)
    except StateError:
        return _plain(name).capitalize()


def reason(text: str | None, item_name: str | None = None) -> str:
    """The reason for an entry of a list in words; `item_name` is the name of the item in similar_to, if known."""
    code, _, item = (text or "").partition(":")
    phrase = next((known.words for known in _reasons(code) if known.code == code), _plain(code))
    return f"{phrase} {item_name or item}" if item else phrase


def _reasons(code: str) -> tuple[Reason, ...]:
    """Freshet's own reasons; for another code also those of extensions."""
    if not code or any(known.code == code for known in BUILT_IN):
        return BUILT_IN
    from freshet.ranking.terms.registry import all_reasons

    return all_reasons()


def protocol(name: str | None) -> str:
    """How lists were judged, in a sentence; empty for None, as in homes of earlier releases."""
    return _PROTOCOLS[name] if name else ""


def audit(name: str) -> str:
    """What shoppers or items are grouped by; an attribute of the settings is named as it is."""
    return _AUDITS[name][0] if name in _AUDITS else name


def audit_meaning(name: str) -> str:
    """What is counted in an audit; empty for an attribute of the settings."""
    return _AUDITS[name][1] if name in _AUDITS else ""


def group(name: str) -> str:
    """A group of an audit."""
    return _GROUPS.get(name, name)


def experiment_metric(name: str) -> str:
    """A metric of an experiment in words."""
    return _METRICS.get(name, _plain(name))


def decision(name: str | None) -> str:
    """The decision about an arm; None is the control's."""
    return "control" if name is None else _DECISIONS.get(name, _plain(name))


def segment(name: str) -> str:
    """A description of a segment's shoppers by its name; empty for an unknown name. "lost 2" is described as lost."""
    return _SEGMENTS.get(name) or _SEGMENTS.get(name.rpartition(" ")[0], "")


def _plain(code: str) -> str:
    return code.replace("_", " ")
