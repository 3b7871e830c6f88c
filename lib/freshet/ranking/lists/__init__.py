"""Lists of shoppers: the best candidates, corrected by the ranker, arranged by rules, with places left to chance."""
