"""Finding devices on networks and serial lines, and saying what they are; nothing is ever written."""
