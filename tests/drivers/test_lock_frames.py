"""What lock boards are asked and answer; a wrong state of a lock never comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.locks.frames import (
    STATE,
    STX,
    UNLOCK,
    WAKE,
    BoardState,
    StatusQuestion,
    UnlockQuestion,
    WakeQuestion,
    frame,
    frames_in,
    state_frame,
)
from drivers.modbus.frames import rtu_request
from drivers.modbus.requests import Read

BOARD = 3
ASK = StatusQuestion(BOARD)
calm = st.integers(0, 255).filter(lambda byte: byte != STX)  # no frame begins inside
states = st.builds(lambda a, b, c, d: BoardState(a | b << 8, c | d << 8), calm, calm, calm, calm)


def spoilt(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def strangers() -> st.SearchStrategy[bytes]:
    """Noise, and frames that are no answer to `ASK`."""
    return st.one_of(
        st.lists(calm, max_size=6).map(bytes),
        states.map(lambda state: state_frame(BOARD + 1, state)),
        states.map(lambda state: spoilt(state_frame(BOARD, state))),
        st.just(frame(BOARD, STATE, lock=2, data=b"\xff\xff\0\0")),
        st.just(ASK.frame),  # an adapter's echo
        st.just(rtu_request(Read(17, 3, 0, 9))),
    )


@pytest.mark.parametrize(
    ("question", "octets"),
    [
        (StatusQuestion(0), "02 00 30 03 35"),
        (UnlockQuestion(0, 2), "02 01 31 03 37"),
        (UnlockQuestion(1, 3), "02 12 31 03 48"),
        (UnlockQuestion(0, 16), "02 0f 31 03 45"),
        (WakeQuestion(0), "02 00 38 03 3d"),
    ],
)
def test_a_question_goes_out_as_programs_for_real_boards_send_it(
    question: StatusQuestion | UnlockQuestion | WakeQuestion, octets: str
) -> None:
    assert question.frame.hex(" ") == octets


def test_bits_of_an_answer_are_locks_in_order() -> None:
    state = StatusQuestion(0).answer_in(bytes.fromhex("02 00 35 01 80 02 00 03 bd"))
    assert state is not None
    assert [lock for lock in range(1, 17) if state.hook(lock)] == [1, 16]
    assert state.sensors == 2


@given(states, st.lists(strangers(), max_size=4).map(b"".join), st.binary(max_size=20))
def test_an_answer_is_found_in_noise_and_among_foreign_frames(state: BoardState, before: bytes, after: bytes) -> None:
    assert ASK.answer_in(before + state_frame(BOARD, state) + after) == state


@given(st.lists(strangers(), max_size=4))
def test_without_its_answer_nothing_comes_out(parts: list[bytes]) -> None:
    assert ASK.answer_in(b"".join(parts)) is None


@given(states, st.integers(0, 8))
def test_an_answer_that_is_not_all_there_is_waited_for(state: BoardState, size: int) -> None:
    assert ASK.answer_in(state_frame(BOARD, state)[:size]) is None


@given(states, st.integers(0, 8), st.integers(0, 7))
def test_an_answer_with_a_wrong_bit_is_not_taken(state: BoardState, at: int, bit: int) -> None:
    whole = bytearray(state_frame(BOARD, state))
    whole[at] ^= 1 << bit
    assert ASK.answer_in(bytes(whole)) is None


def test_the_echo_of_a_pulse_or_of_a_wake_is_not_its_answer() -> None:
    for question in (UnlockQuestion(BOARD, 5), WakeQuestion(BOARD)):
        assert question.answer_in(question.frame) is None
    assert WakeQuestion(BOARD).answer_in(frame(BOARD, WAKE, data=b"\x00\x32")) is not None
    assert UnlockQuestion(BOARD, 5).answer_in(frame(BOARD, STATE, lock=5, data=b"\1\0\0\0")) == BoardState(1, 0)


@pytest.mark.parametrize(("unit_id", "lock"), [(15, 1), (-1, 1), (0, 0), (0, 17)])
def test_no_frame_is_made_for_another_board_or_lock_than_was_meant(unit_id: int, lock: int) -> None:
    with pytest.raises(ValueError, match="no board"):
        frame(unit_id, UNLOCK, lock=lock)


def test_who_listens_hears_every_frame_of_boards_and_no_other() -> None:
    said = [UnlockQuestion(1, 3).frame, ASK.frame, state_frame(BOARD, BoardState(0x8001, 0))]
    line = rtu_request(Read(17, 3, 0, 9)) + said[0] + b"\x02" + said[1] + spoilt(said[1]) + said[2]
    assert frames_in(line) == [(1, said[0]), (BOARD, said[1]), (BOARD, said[2])]
