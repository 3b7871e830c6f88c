"""Raw records to events and quarantine: mappings, parsing, judging, flags, identities, states of items."""
