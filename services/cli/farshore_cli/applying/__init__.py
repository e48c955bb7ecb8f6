"""From empty SVMs to what a topology says: facts, plan, calls."""
