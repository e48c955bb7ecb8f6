"""What each hop of the distribution costs, how far it lags, and what troubles it."""
