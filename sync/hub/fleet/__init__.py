"""Commands, configurations and roll-outs."""
