"""The appliance: buffer, live view, polling, configuration, and the program that builds it all."""

__version__ = "0.1.0"
