"""The outside programs that a local farshore needs: where they are, and how each is obtained."""
