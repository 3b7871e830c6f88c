"""Steps that bring records into the tables of a home."""
