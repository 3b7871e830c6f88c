"""Quality of models and lists: metrics with intervals, plain baselines, and the gate before a promotion."""
