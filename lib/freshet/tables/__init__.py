"""Delta tables: reading, writing, leases, maintenance. The only package that uses the Delta libraries."""
