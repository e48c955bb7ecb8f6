"""Where an image is on its way to each site, and why it isn't ready there."""
