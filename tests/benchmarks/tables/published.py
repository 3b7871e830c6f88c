"""Figures as their sources print them, with the source of each table."""

from typing import NamedTuple


class Published(NamedTuple):
    """A published table: columns of figures, and rows by model with the remark that belongs to them."""

    source: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]


ML_100K = Published(
    "recommenders-team/recommenders, README and its MovieLens benchmark notebook; 4 CPUs, where said a GPU",
    ("MAP", "nDCG@10", "Precision@10", "Recall@10", "fit s"),
    {
        "ALS (Spark, explicit)": (0.0047, 0.0442, 0.0485, 0.0178, 12.4),
        "SVD": (0.0129, 0.0959, 0.0912, 0.0328, 0.9),
        "SAR": (0.1106, 0.3825, 0.3308, 0.1764, 0.23),
        "NCF (GPU)": (0.1077, 0.3961, 0.3473, 0.1808, 113.0),
        "LightGCN (GPU)": (0.0885, 0.4198, 0.3796, 0.1443, 23.0),
        "BPR": (0.1325, 0.4420, 0.3882, 0.2125, 5.0),
        "BiVAE (GPU)": (0.1461, 0.4751, 0.4118, 0.2191, 22.7),
    },
)

ML_1M = Published(
    "sb-ai-lab/RePlay, docs/pages/useful_data/res_1m.csv (examples/02_models_comparison.ipynb)",
    ("HitRate@10", "MRR@10", "NDCG@10", "fit + lists s"),
    {
        "ALS (explicit)": (0.093, 0.033, 0.013, 13.9),
        "NeuroMF": (0.627, 0.318, 0.193, 350.7),
        "Mult-VAE": (0.640, 0.396, 0.238, 27.0),
        "PopRec": (0.645, 0.390, 0.244, 12.3),
        "ItemKNN": (0.655, 0.409, 0.256, 18.0),
        "SLIM": (0.669, 0.419, 0.261, 12.5),
        "LightFM": (0.699, 0.431, 0.263, 10.8),
        "ALS (implicit, Spark)": (0.686, 0.419, 0.265, 10.1),
    },
)

_TIGER = "table of the TIGER paper (Rajput et al., NeurIPS 2023); figures of S3-Rec's files, 5-core, file order"

AMAZON = {
    "Beauty": Published(
        _TIGER,
        ("NDCG@10", "Recall@10"),
        {
            "GRU4Rec": (0.0137, 0.0283),
            "BERT4Rec": (0.0170, 0.0347),
            "SASRec": (0.0318, 0.0605),
            "S3-Rec": (0.0327, 0.0647),
            "TIGER": (0.0384, 0.0648),
        },
    ),
    "Toys_and_Games": Published(
        _TIGER,
        ("NDCG@10", "Recall@10"),
        {
            "GRU4Rec": (0.0084, 0.0176),
            "BERT4Rec": (0.0099, 0.0203),
            "SASRec": (0.0374, 0.0675),
            "S3-Rec": (0.0376, 0.0700),
            "TIGER": (0.0432, 0.0712),
        },
    ),
}

GOWALLA = Published(
    "openbenchmark/BARS, docs/Matching/leaderboard, Gowalla; it gives no training times",
    ("Recall@20", "NDCG@20", "fit s"),
    {
        "ItemCF": (0.1570, 0.1214, float("nan")),
        "Mult-VAE": (0.1641, 0.1335, float("nan")),
        "MF-BPR": (0.1627, 0.1378, float("nan")),
        "SLIM": (0.1699, 0.1382, float("nan")),
        "EASE": (0.1765, 0.1467, float("nan")),
        "GF-CF": (0.1849, 0.1518, float("nan")),
        "LightGCN": (0.1820, 0.1547, float("nan")),
        "SimpleX": (0.1872, 0.1557, float("nan")),
        "UltraGCN": (0.1862, 0.1580, float("nan")),
    },
)

TOPN_QUEST = Published(
    "test parts of Anelli et al., UMAP 2022; without its training parts (see the bench), so its figures are not shown",
    ("nDCG@10", "Precision@10", "Recall@10", "fit s"),
    {},
)
