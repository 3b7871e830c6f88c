"""Audits of lists: for which shoppers they are good, which items they show, and the limits of both."""
