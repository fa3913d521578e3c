"""Which PDUs can be requests and which replies, by function and length alone; for whoever listens; pure."""

EXCEPTIONS = range(1, 12)


def is_request(pdu: bytes) -> bool:
    """Reads and writes as masters ask them (functions 1 to 6, 15, 16)."""
    function, rest = pdu[0], pdu[1:]
    if function in (15, 16):
        return len(rest) > 5 and rest[4] == len(rest) - 5
    return 0 < function < 7 and len(rest) == 4


def is_reply(pdu: bytes) -> bool:
    """Replies to those, exceptions too."""
    function, rest = pdu[0], pdu[1:]
    if function & 0x80:
        return len(rest) == 1 and rest[0] in EXCEPTIONS
    if function in (1, 2, 3, 4):
        return len(rest) > 1 and rest[0] == len(rest) - 1
    return function in (5, 6, 15, 16) and len(rest) == 4


def answers(reply: bytes, request: bytes) -> bool:
    """Whether `reply` can be the one to `request`: of a read it has as much as was asked for, of a write its echo."""
    if reply[0] == request[0] | 0x80:
        return len(reply) == 2
    if reply[0] != request[0] or len(reply) < 2:
        return False
    count = int.from_bytes(request[3:5])
    if request[0] in (1, 2):
        return len(reply) == 2 + (count + 7) // 8
    if request[0] in (3, 4):
        return len(reply) == 2 + 2 * count
    return request[0] not in (5, 6, 15, 16) or reply == request[:5]
