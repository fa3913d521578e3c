"""What the hub has, read back."""
