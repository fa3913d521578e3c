"""The edge's end: spans, the engine that empties them, the transports that carry batches."""
