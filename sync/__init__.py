"""From the edge to the hub: the batch both ends speak, and each end of it."""
