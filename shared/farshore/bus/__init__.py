"""Kafka as farshore uses it: explicit topics, idempotent producers, exactly-once steps, ranges of a log."""
