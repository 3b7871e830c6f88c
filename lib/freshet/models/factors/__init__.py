"""The factor model: implicit-feedback ALS and its two engines."""
