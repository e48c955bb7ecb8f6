"""What farshore's services share: records, topology, and the clients of Kafka, ONTAP and registries."""
