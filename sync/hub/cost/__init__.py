"""Tariffs, and what a site's energy costs."""
