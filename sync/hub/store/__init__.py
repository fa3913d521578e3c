"""Where the hub keeps what it has."""
