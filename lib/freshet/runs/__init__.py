"""A run in a home: settings, steps, their records, and how they are run."""
