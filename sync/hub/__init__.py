"""The hub's end: takes batches from many nodes, keeps each reading once, shows the fleet."""
