"""Tracebacks of errors, which keep everything that their frames refer to."""

import traceback


def release_locals(error: BaseException, outer: BaseException | None = None) -> None:
    """Release what the frames of an error refer to, and those of the errors that led to it or are part of it.

    ``outer`` is what a caller was handling already (``sys.exception``); that error is the caller's, and left alone.

    An error may wait for long until its client is told, and what it was about must not wait with it. A frame may also
    refer to its error, directly or by a future that carries it. Such a cycle stays until the garbage collector runs,
    and what failed requests had sent would add up meanwhile.

    The lines of the traceback remain. So does what a nested function shares with the function around it: a frame keeps
    its function.
    """
    left: list[BaseException | None] = [error]
    done = {id(outer)}
    while left:
        one = left.pop()
        if one is None or id(one) in done:
            continue
        done.add(id(one))
        traceback.clear_frames(one.__traceback__)
        left += one.__cause__, one.__context__
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
