"""Batches events into SnapMirror transfers and publishes arrivals."""
