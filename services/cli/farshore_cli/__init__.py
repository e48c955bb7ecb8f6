"""The farshore command: up, demo, check, deadletter."""
