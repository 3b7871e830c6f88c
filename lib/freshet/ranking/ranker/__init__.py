"""The parts of a learned ranker: trees that correct scores, and features of items and shoppers that only they read."""
