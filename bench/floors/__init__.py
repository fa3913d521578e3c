"""The floors: the least that a program in Python can do of the gateway's work, each a process of its own."""
