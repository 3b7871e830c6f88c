"""The probability that a shopper buys within a horizon."""
