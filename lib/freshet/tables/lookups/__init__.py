"""Small queries of tables, without Spark."""
