#!/usr/bin/env python3
"""A large import: one job that writes a zone in parts, while others want to write to it.  python3 imports.py [-t]
Actors: the request that makes the job, another writer, two holders of the job (the second takes over while the first may
be alive), recovery. A write is two steps, intent and settle; what model.py proves of the steps between them is taken for
granted: an intent whose writer is gone is settled by recovery, as it happened. Faults: each holder crashes anywhere or is
overtaken, a part never runs, the job is given up."""
import sys
from collections import deque, namedtuple
PARTS = 2
# hold: the zone's row says that the job has it   intent: None | (who, part)   ran: it reached PowerDNS   done: marks of parts
# job: "" not there, "run", "ok", "failed"   log: history entries of each part   closed: audit entries of the import
S = namedtuple("S", "hold intent ran job epoch done log closed audit_truth wrote w rev0 h")
START = S(False, None, False, "", 0, (0,) * PARTS, (0,) * PARTS, 0, True, 0, ("new",), 0, (("out",), ("out",)))

def steps(s, v):
    put = lambda t, i, x: t[:i] + (x,) + t[i + 1:]
    out = []
    add = lambda label, n: out.append((label, n))
    # --- the request: it decided on revision 0; the job is there only if the zone still stands so
    if s.job == "" and s.wrote == 0 and s.intent is None:
        add("the import is decided, job and hold committed", s._replace(job="run", hold=True))
    # --- another writer: reads and decides, takes the lock if the row still stands as read, settles
    if s.w[0] == "new" and (not s.hold or v == "no hold"):
        add("W reads the zone, not held, decides", s._replace(w=("decided",)))
    if s.w[0] == "decided" and s.intent is None:
        moved = s.hold and v not in ("door only", "no hold")
        add("W finds the row moved, reads again" if moved else "W INTENT",
            s._replace(w=("new",)) if moved else s._replace(w=("intent",), intent=("W", 0), ran=False))
    if s.w[0] == "intent":
        add("W settles", s._replace(w=("end",), intent=None, wrote=1))
    # --- the holders
    for i in (0, 1):
        h = s.h[i]
        set_h = lambda x: s._replace(h=put(s.h, i, x))
        if h[0] == "out" and s.job == "run" and (i == 0 and s.epoch == 0 or i == 1 and s.epoch == 1):
            add(f"H{i} claims the job", set_h(("look", s.epoch + 1))._replace(epoch=s.epoch + 1))
        if h[0] == "look":
            todo = [p for p in range(PARTS) if not s.done[p]]
            may = s.hold and s.job == "run"                     # the writer's decision looks at the hold
            if todo and may: add(f"H{i} decides part {todo[0]}", set_h(("part", h[1], todo[0])))
            if not todo: add(f"H{i} finds nothing left", set_h(("all", h[1])))
            if s.job == "run": add(f"H{i} gives the job up", set_h(("giveup", h[1])))
        if h[0] == "part" and s.intent is None:
            p = h[2]
            stands = s.log[p] > 0                                # it is in the zone: nothing to be written
            moved = not (s.hold and s.job == "run")              # compared by the statement that takes the lock
            if moved: add(f"H{i} finds the zone not its own any more", set_h(("gone",)))
            elif stands and v != "marks apart":
                add(f"H{i} finds part {p} in the zone, marks it", set_h(("look", h[1]))._replace(done=put(s.done, p, 1)))
            else: add(f"H{i} INTENT part {p}", set_h(("sent", h[1], p))._replace(intent=(i, p), ran=False))
        if h[0] == "sent" and s.intent == (i, h[2]):
            if not s.ran: add(f"PowerDNS runs part {h[2]}", s._replace(ran=True))
            p = h[2]
            log = put(s.log, p, s.log[p] + int(s.ran))
            if v == "marks apart":
                add(f"H{i} settles part {p}", s._replace(intent=None, log=log, h=put(s.h, i, ("mark", h[1], p))))
            else:
                done = put(s.done, p, 1) if s.ran else s.done
                add(f"H{i} settles part {p} as it went", s._replace(intent=None, log=log, done=done, h=put(s.h, i, ("look", h[1]))))
        elif h[0] == "sent": add(f"H{i} finds its part settled by recovery", set_h(("look", h[1])))
        if h[0] == "mark": add(f"H{i} marks part {h[2]}", set_h(("look", h[1]))._replace(done=put(s.done, h[2], 1)))
        if h[0] in ("all", "giveup"):
            waits = s.intent is not None and h[0] == "giveup" and v != "end at once"
            mine = s.job == "run" and (h[1] == s.epoch or v == "no epoch")
            end = "ok" if h[0] == "all" else "failed"
            told = sum(s.done)                                  # what its audit entry says was written
            if waits: pass
            elif not mine and not (v == "no epoch" and s.job != ""): add(f"H{i} has lost the job", set_h(("gone",)))
            elif v == "end in two":
                add(f"H{i} ends the job", set_h(("release", h[1], told))._replace(job=end))
            else:
                add(f"H{i} ENDS the job: {end}, released, audited {told} parts", set_h(("gone",))._replace(
                    job=end, hold=False, closed=s.closed + int(told > 0), audit_truth=told == sum(map(bool, s.log))))
        if h[0] == "release":
            add(f"H{i} releases the zone, audits", set_h(("gone",))._replace(hold=False, closed=s.closed + int(h[2] > 0)))
        if h[0] not in ("out", "gone"): add(f"H{i} CRASHES", set_h(("gone",)))
    # --- recovery: an intent whose writer is gone (or slow)
    if s.intent and s.intent[0] != "W":
        i, p = s.intent
        if not s.ran: add(f"PowerDNS runs part {p} late", s._replace(ran=True))
        log = put(s.log, p, s.log[p] + int(s.ran))
        done = put(s.done, p, 1) if s.ran and v != "marks apart" else s.done
        add(f"recovery settles part {p}, {'applied' if s.ran else 'dropped'}", s._replace(intent=None, log=log, done=done))
    return out

def broken(s, n):
    if n.wrote > s.wrote and n.job == "run": return "somebody else wrote to the zone in the middle of an import"
    if max(n.log) > 1: return "a part is in the history twice"
    if n.log != s.log and n.job in ("ok", "failed"): return "a part was written after the import's end"
    if n.job == "ok" and min(n.log) == 0: return "an import that succeeded is not all there"
    if n.closed > 1: return "two audit entries of one import"
    if n.job in ("ok", "failed") and not n.audit_truth: return "the audit entry of the import lies"

def stuck(s):
    if s.job in ("ok", "failed") and s.hold: return "the zone stays locked behind an import that is over"

def explore(v, label, traces):
    parent, queue, bad = {START: None}, deque([START]), {}
    def trace(s, last):
        lines = [last]
        while parent[s]: s, x = parent[s]; lines.append(x)
        return lines[::-1]
    while queue:
        s = queue.popleft()
        found = steps(s, v)
        if not found and (why := stuck(s)): bad.setdefault(why, trace(s, "** " + why))
        for text, n in found:
            if why := broken(s, n): bad.setdefault(why, trace(s, text + "  ** " + why)); continue
            if n not in parent: parent[n] = (s, text); queue.append(n)
    print(f"{'FAIL' if bad else 'pass'} {len(parent):>6} states  {label}")
    for why, lines in bad.items():
        print("   -", why)
        if traces: print("       " + "\n       ".join(lines))
    return bool(bad)

VARIANTS = [
    ("no hold", "the job's parts are writes like any other"),
    ("door only", "the hold is looked at where a request comes in, not where the lock is taken"),
    ("marks apart", "parts are marked as written behind their settle, and redone by the mark alone"),
    ("end in two", "the job ends first, the zone is released and the import audited after"),
    ("no epoch", "who was overtaken may end the job, too"),
    ("end at once", "the job is given up while a part is under way"),
]
if __name__ == "__main__":
    traces = "-t" in sys.argv
    for v, label in VARIANTS: explore(v, label, traces)
    sys.exit(explore("", "as built: hold in the standing, mark in the settle, one end under the zone's lock", traces))
