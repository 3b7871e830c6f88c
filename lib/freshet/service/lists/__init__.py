"""The stream that keeps lists fresh: shoppers' histories, and lists made of them."""
