"""Turns registry notifications into Kafka events."""
