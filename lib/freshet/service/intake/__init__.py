"""The stream that takes events in: every record becomes an event or is quarantined."""
