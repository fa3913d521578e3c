"""How what nodes send comes in."""
