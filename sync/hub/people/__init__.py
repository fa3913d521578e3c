"""Who signs in, what each may, and what they did."""
