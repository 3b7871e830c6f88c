"""Where records come from: mappings of a shop's columns, files, Kafka topics."""
