"""What every room stands on: errors, logs, threads, the Spark session."""
