"""Modbus: frames, client, planner, codec, profiles."""
