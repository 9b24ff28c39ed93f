"""The window's own process: shows what comes in on standard input and tells the keys on standard output.

It is a process because OpenCV's window ends its process when the display is missing or lost, and no
Python code can catch that; the watching goes on. Run by path, so it imports nothing of ours.

A request is (flags, height, width) as three little-endian uint32 and height * width * 3 bytes of BGR; a
height of 0 keeps the picture. An answer is (open, count) as two bytes and ``count`` bytes of keys.
"""

import ctypes
import signal
import struct
import sys
from contextlib import suppress

import cv2
import numpy as np

FULL_SCREEN = 1


def prefer_the_systems_x11() -> None:
    """Let OpenCV's Qt, which is loaded with the first window, find the system's libX11-xcb before the wheel's.

    opencv-python's wheels carry one that is older than the libX11 it works on. The two disagree about where "Qt reads
    the events" is written down, so Xlib reads some too and drops them, and a window whose MapNotify is dropped stays
    black for ever. What is loaded globally comes first.
    """
    with suppress(OSError):  # Windows, macOS, or no such library: Qt then takes its own
        ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)


def main(title: str) -> None:
    """Answer requests until standard input ends or the window is closed."""
    prefer_the_systems_x11()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends our input
    cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
    full, shown = False, (0, 0)
    while len(head := sys.stdin.buffer.read(12)) == 12:
        flags, height, width = struct.unpack("<III", head)
        if height:
            data = sys.stdin.buffer.read(height * width * 3)
            if len(data) < height * width * 3:
                return
            if shown != (height, width) and not full:
                cv2.resizeWindow(title, width, height)
            cv2.imshow(title, np.frombuffer(data, np.uint8).reshape(height, width, 3))
            shown = height, width
        if bool(flags & FULL_SCREEN) != full:
            full = not full
            cv2.setWindowProperty(title, cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_FULLSCREEN if full else cv2.WINDOW_NORMAL)
        keys = bytes(key & 0xFF for _ in range(4) if (key := cv2.waitKey(1)) != -1)
        is_open = shown == (0, 0) or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1
        sys.stdout.buffer.write(bytes([is_open, len(keys)]) + keys)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
