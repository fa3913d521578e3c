"""A physical channel and the conversation on it, whatever protocol the devices speak."""
