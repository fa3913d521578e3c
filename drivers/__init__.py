"""How to talk to field devices."""
