"""Minutes and hours, and for how long what is kept."""
