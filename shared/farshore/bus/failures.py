"""What aiokafka raises while Kafka goes away or comes back."""

from aiokafka.errors import KafkaError

KAFKA_FAILURES = (KafkaError, OSError, RuntimeError)
"""For `except`: a RuntimeError is uvloop's for a connection that closed under a write."""
