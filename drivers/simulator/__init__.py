"""A farm of simulated devices, from profiles or from the recorded answers of real ones."""
