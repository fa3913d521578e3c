"""What devices send by themselves, or kept in a log of their own: shapes, stamps, duplicates."""
