"""How good models and lists are: metrics with intervals, plain baselines, and the gate before a promotion."""
