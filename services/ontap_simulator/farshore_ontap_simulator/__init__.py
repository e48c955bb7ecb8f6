"""Simulated ONTAP clusters that move real bytes."""
