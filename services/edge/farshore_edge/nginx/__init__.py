"""The parts of the configuration that `farshore_edge.render` puts together. Pure: no file is read or written."""
