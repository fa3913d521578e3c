"""Day-ahead market prices: where they come from, how they are kept, and who gets them."""
