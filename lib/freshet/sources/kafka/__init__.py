"""A Kafka broker: how it is reached, what its topics hold, and sending to it."""
