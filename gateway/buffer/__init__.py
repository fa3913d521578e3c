"""The edge's store: every reading on the disk until the hub has it, and long after."""
