"""Bytes at rest: walking trees, the block store, snapshots' tables and exported views."""
