"""A replica goes back to an earlier snapshot, and is let go again."""
