"""What is wrong with the fleet, and who is told."""
