"""What a cluster knows: typed records in a crash-safe store, and the operations on them."""
