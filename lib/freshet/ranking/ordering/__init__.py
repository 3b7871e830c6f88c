"""The order of candidates: by the blend, corrected by a ranker, arranged by rules."""
