"""What operating systems differ in: signals that stop, locks of files, folders brought to disk."""

import contextlib
import errno
import os
import signal
import time

# Ctrl-C and `kill`; on Windows Ctrl-Break besides.
STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
# Of file systems without locks, as some of networks are.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_POLL = 0.2  # seconds


def lock(path):
    """Opens a file that one process at a time can hold, and makes it if it is missing.

    The system lets go of it when the process ends, however it ends. The file stays: to remove it
    would let two processes hold one of the same name. Where the system or the file system has no
    locks, everybody gets it.

    Returns:
        The open file; closing it lets go.

    Raises:
        BlockingIOError: It is held already.
    """
    file = path.open("ab")
    try:
        _lock(file)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            file.close()
            raise
    return file


@contextlib.contextmanager
def only_process(path, waiting):
    """Waits until no other process is within this with the same file; see `lock`.

    Args:
        path: The `Path` of the file.
        waiting: What to print if there is another one.
    """
    file = None
    while file is None:
        try:
            file = lock(path)
        except BlockingIOError:
            if waiting:
                print(waiting, flush=True)
            waiting = None
            time.sleep(_POLL)
    with file:
        yield


def _lock(file):
    try:
        import fcntl
    except ImportError:
        _lock_on_windows(file)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_on_windows(file):
    try:
        import msvcrt
    except ImportError:  # neither POSIX nor Windows
        return
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK)) from error


def flush_folder(path):
    """Brings to disk which files a folder has, where that can be asked for: not on Windows."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems that do so by themselves
            raise
    finally:
        os.close(descriptor)
