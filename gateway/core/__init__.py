"""The ground everything stands on: values, clock, errors and codecs; no input or output."""
