"""Bytes on the way: the intercluster protocol, its source and its destination."""
