"""The recommender: its fits, its search and the lists by which it is judged."""
