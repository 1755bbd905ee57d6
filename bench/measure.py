"""What a group of processes used: CPU by its control group, memory by /proc."""

import os
import time

TICK = os.sysconf("SC_CLK_TCK")


class Group:
    """A group of processes whose CPU is counted together, also of those that have ended.

    cgroup v2 counts in microseconds wherever it is mounted, v1 in nanoseconds. Without the right to make a group, the
    ticks of /proc are summed over the tree below `pid`.
    """

    def __init__(self, name):
        self.pid = None
        self.folder = None
        for root, self.file in (("/sys/fs/cgroup", "cpu.stat"), ("/sys/fs/cgroup/unified", "cpu.stat"),
                                ("/sys/fs/cgroup/cpuacct", "cpuacct.usage")):
            folder = f"{root}/gatepost-bench-{os.getpid()}-{name}"
            try:
                os.mkdir(folder)
            except OSError:
                continue
            if os.path.exists(f"{folder}/{self.file}"):
                self.folder = folder
                break
            os.rmdir(folder)

    @property
    def how(self):
        return f"control group ({self.file})" if self.folder else "/proc, by ticks"

    def enter(self):
        """In a child, before it becomes the program."""
        if self.folder:
            with open(f"{self.folder}/cgroup.procs", "w") as procs:
                procs.write("0")

    def micros(self):
        """CPU microseconds used so far by everything that was ever in the group."""
        if not self.folder:
            return sum(ticks(pid) for pid in tree(self.pid)) * 1_000_000 // TICK
        text = open(f"{self.folder}/{self.file}").read()
        if self.file == "cpuacct.usage":
            return int(text) // 1000
        return int(text.split()[1])

    def settled(self, still=0.5, limit=20):
        """CPU microseconds once the work that a letter leaves behind is done too."""
        last, since, end = self.micros(), time.monotonic(), time.monotonic() + limit
        while time.monotonic() < end and time.monotonic() - since < still:
            time.sleep(0.05)
            now = self.micros()
            # A timer here and there is not work.
            if now - last > 500:
                last, since = now, time.monotonic()
        return self.micros()

    def remove(self):
        for _ in range(50):
            try:
                if self.folder:
                    os.rmdir(self.folder)
                return
            except OSError:
                time.sleep(0.1)


def stat(pid):
    """The fields of /proc/PID/stat after the name: state, ppid, ..."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def ticks(pid):
    """utime + stime of all threads, and of children that were waited for."""
    try:
        fields = stat(pid)
        return sum(int(fields[n]) for n in (11, 12, 13, 14))
    except OSError:
        return 0


def tree(pid):
    """A process and all below it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents.setdefault(int(stat(entry)[1]), []).append(int(entry))
            except OSError:
                pass
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue.extend(parents.get(found[-1], []))
    return found


def resident(pid):
    """Resident kilobytes of one process."""
    return field(f"/proc/{pid}/status", "VmRSS:")


def proportional(pid):
    """Kilobytes of a tree of processes, shared pages counted once."""
    return sum(field(f"/proc/{one}/smaps_rollup", "Pss:") for one in tree(pid))


def field(file, name):
    try:
        for line in open(file):
            if line.startswith(name):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
