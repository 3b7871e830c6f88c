"""A Kafka broker: connection options, facts about topics, and sending messages."""
