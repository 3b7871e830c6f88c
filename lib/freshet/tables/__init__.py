"""The only room that touches Delta: homes, tables, leases, step records."""
