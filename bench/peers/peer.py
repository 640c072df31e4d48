"""The line protocol of bench/compare (see peer.go there) for a peer written in Python.

A peer calls serve(load). load(work) imports its library, compiles what it compiles, and returns a
function run() -> (x0, x1, loss), three arrays of length work.n, and a version string. The time of
run() is what is reported: loading, compiling and writing are not in it.
"""

import os
import sys
import time
from types import SimpleNamespace


def serve(load):
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run = result = None
    for line in sys.stdin:
        command, _, rest = line.rstrip("\n").partition(" ")
        try:
            if command == "load":
                work = read(rest)
                run, version = load(work)
                result = run()
                answers.write(f"ready {version}\n")
            elif command == "write":
                import numpy as np

                columns = [np.broadcast_to(np.asarray(c, dtype=np.float64), (work.n,)) for c in result]
                np.concatenate(columns).tofile(rest)
                answers.write("ok\n")
            elif command == "time":
                begin = time.perf_counter()
                result = run()
                answers.write(f"seconds {time.perf_counter() - begin:.9f}\n")
            elif command == "quit":
                return
            else:
                answers.write(f"error unknown command {command}\n")
        except Exception as e:  # the parent reports it
            answers.write("error " + " ".join(f"{type(e).__name__}: {e}".split()) + "\n")


def read(rest):
    """Reads the arguments of load, and pins the process to as many processors as it may use."""
    item, n, iterations, lr, m0, m1, threads, file = rest.split(" ", 7)
    processors = sorted(os.sched_getaffinity(0))[: int(threads)]
    os.sched_setaffinity(0, processors)  # before the libraries start their threads
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = threads
    import numpy as np

    n = int(n)
    alpha, x0, x1 = np.fromfile(file, dtype=np.float64).reshape(3, n)
    if (alpha != alpha[0]).any():
        raise ValueError("one alpha for all samples is expected")
    return SimpleNamespace(item=item, n=n, iterations=int(iterations), lr=float(lr), minimum=(float(m0), float(m1)),
                           threads=int(threads), alpha=float(alpha[0]), x0=x0, x1=x1)
