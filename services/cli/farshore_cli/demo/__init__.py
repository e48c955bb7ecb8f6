"""The demo: real images pushed at one site, seen to arrive at the others, and proved to be there."""
