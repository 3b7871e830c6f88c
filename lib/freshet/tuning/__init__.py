"""The search for a source's recipe on its validation window."""
