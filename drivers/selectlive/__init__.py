"""Selectronic SP PRO through the JSON of its select.live box, on the LAN or from the maker's cloud."""
