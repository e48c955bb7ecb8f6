"""The whole of farshore on one machine: three sites, Kafka and the services, below one folder."""
