"""Keeps a running nginx at the rules of the topology file, and says how the edge is."""
