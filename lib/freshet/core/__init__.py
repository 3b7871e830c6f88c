"""The foundation of all other packages: errors, logs, threads, the Spark session."""
