"""Slow, obvious ranking metrics and baselines, in plain loops from the definitions."""

import math

Lists = dict[str, list[str]]
Strengths = dict[str, dict[str, float]]


def ranking_metrics(listed: list[str], truth: set[str], k: int) -> dict[str, float]:
    """Recall, precision, NDCG, MAP and hit of one list; a repeated entry is a miss."""
    gains = []
    for place in range(k):
        is_new = place < len(listed) and listed[place] not in listed[:place]
        gains.append(1 if is_new and listed[place] in truth else 0)
    best = min(k, len(truth))
    gained = sum(gains[n] / math.log2(n + 2) for n in range(k))
    ideal = sum(1 / math.log2(n + 2) for n in range(best))
    precisions = [sum(gains[: n + 1]) / (n + 1) for n in range(k) if gains[n]]
    return {
        "recall": sum(gains) / len(truth),
        "precision": sum(gains) / k,
        "ndcg": gained / ideal,
        "map": sum(precisions) / best,
        "hit": 1.0 if sum(gains) else 0.0,
    }


def similarity(x: list[float], y: list[float], kind: str, *, shrinkage: float = 0.0, asymmetry: float = 1.0) -> float:
    """Cosine or Pearson of two dense vectors of equal length; 0 where it is not defined."""
    if kind == "pearson":
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        x, y = [a - mean_x for a in x], [b - mean_y for b in y]
    length_x, length_y = math.sqrt(sum(a * a for a in x)), math.sqrt(sum(b * b for b in y))
    if length_x < 1e-9 or length_y < 1e-9:
        return 0.0
    scale = length_x ** (2 - asymmetry) * length_y**asymmetry
    return sum(a * b for a, b in zip(x, y, strict=True)) / (scale + shrinkage)


def neighbours(
    vectors: list[list[float]], of: int, kind: str, *, count: int, shrinkage: float = 0.0, asymmetry: float = 1.0
) -> dict[int, float]:
    """The `count` others of highest positive similarity, ties to the lower number, and itself."""
    near = {
        n: round(similarity(vectors[of], v, kind, shrinkage=shrinkage, asymmetry=asymmetry), 6)
        for n, v in enumerate(vectors)
    }
    own = near.pop(of)
    best = sorted((n for n in near if near[n] > 0), key=lambda n: (-near[n], n))[:count]
    return {n: near[n] for n in best} | ({of: own} if own > 0 else {})


def baseline_scores(
    strengths: Strengths,
    user: str,
    family: str,
    *,
    count: int,
    shrinkage: float = 0.0,
    asymmetry: float = 1.0,
    all_users: list[str] | None = None,
) -> dict[str, float]:
    """Each item's score for a shopper by one of the plain baselines; users and items in rising order of id."""
    users = sorted(all_users or strengths)
    items = sorted({item for own in strengths.values() for item in own})
    table = [[strengths.get(u, {}).get(i, 0.0) for i in items] for u in users]
    own = table[users.index(user)]
    columns = [[row[n] for row in table] for n in range(len(items))]
    if family == "popularity":
        return {item: sum(1.0 for value in columns[n] if value > 0) for n, item in enumerate(items)}
    if family == "frequency":
        return dict(zip(items, own, strict=True))
    kind = family.rsplit("_", maxsplit=1)[-1]
    if family.startswith("item"):
        near = [
            neighbours(columns, n, kind, count=count, shrinkage=shrinkage, asymmetry=asymmetry)
            for n in range(len(items))
        ]
        return {item: sum(own[j] * value for j, value in near[n].items()) for n, item in enumerate(items)}
    close = neighbours(table, users.index(user), kind, count=count)
    return {item: sum(table[v][n] * value for v, value in close.items()) for n, item in enumerate(items)}


def own_item_scores(
    known: Strengths, own: dict[str, float], family: str, *, count: int, shrinkage: float, asymmetry: float
) -> dict[str, float]:
    """Scores by neighbours of items that are learned from `known` alone, for a shopper who is not in it."""
    kind = family.rsplit("_", maxsplit=1)[-1]
    items = sorted({item for one in known.values() for item in one})
    columns = [[one.get(item, 0.0) for _, one in sorted(known.items())] for item in items]
    near = [
        neighbours(columns, n, kind, count=count, shrinkage=shrinkage, asymmetry=asymmetry) for n in range(len(items))
    ]
    return {item: sum(own.get(items[j], 0.0) * value for j, value in near[n].items()) for n, item in enumerate(items)}


def baseline_list(scores: dict[str, float], popularity: dict[str, float], *, k: int, without: set[str]) -> list[str]:
    """The k best items by score, then popularity, then id; `scores` are taken as equal to five digits."""
    candidates = [item for item in scores if item not in without]
    return sorted(candidates, key=lambda i: (-round(scores[i], 5), -popularity[i], i))[:k]
