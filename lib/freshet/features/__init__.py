"""Features of shoppers and items as of a date, from data known before that date only."""
