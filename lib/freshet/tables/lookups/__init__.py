"""Small questions to tables, answered without Spark."""
