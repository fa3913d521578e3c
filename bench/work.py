"""The reference work that every subject of the benchmark does."""

DEVICES = 20
POINTS = 40  # float32 each
REGISTERS = 2 * POINTS  # holding registers 0 to 79, high word first
POLL_S = 1
PUSH_S = 5  # between two pushes to the hub, or posts to the sink
READINGS_PER_TICK = DEVICES * POINTS
