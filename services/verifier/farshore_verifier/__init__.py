"""Confirms arrived content at each site and publishes readiness."""
