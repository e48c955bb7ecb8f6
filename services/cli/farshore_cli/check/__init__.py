"""Checks of a topology: what it says, and whether everything that it names is there."""
