"""The terms of the blend: the factor model, item models, a shopper's own items, and values of items alone."""
