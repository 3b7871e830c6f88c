"""What is known of shoppers and items as of a date, from that date backwards only."""
